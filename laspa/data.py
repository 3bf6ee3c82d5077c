"""Training data in memory: the train split's mels, its classes, and batches of random crops."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from laspa.errors import LaspaError
from laspa.features import FeatureStore

BEND_KNOTS = 5  # points of the curve that bends the mel axis: about one a formant; our choice


@dataclass
class TrainingSet:
    """Utterances of the train split, aligned with their class indices.

    frames: (total frames, mels) half precision; offsets: (utterances + 1,) rows of `frames`.
    speaker, language: (utterances,) indices into `speakers` and `languages`, both sorted.
    """

    frames: np.ndarray
    offsets: np.ndarray
    speaker: np.ndarray
    language: np.ndarray
    speakers: list[str]
    languages: list[str]
    frames_per_second: float

    @property
    def num_mels(self) -> int:
        """Mel bands a frame."""
        return int(self.frames.shape[1])

    def __len__(self) -> int:
        return len(self.speaker)

    def heard_in(self) -> Tensor:
        """Boolean (languages, speakers): who speaks which language in the train split."""
        heard = torch.zeros(len(self.languages), len(self.speakers), dtype=torch.bool)
        heard[torch.from_numpy(self.language), torch.from_numpy(self.speaker)] = True
        return heard


@dataclass
class Batch:
    """mel: (batch, frames, mels) float32; speaker, language: (batch,) class indices."""

    mel: Tensor
    speaker: Tensor
    language: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        moved = (tensor.to(device, non_blocking=True) for tensor in (self.mel, self.speaker, self.language))
        return Batch(*moved)


def training_set(features: FeatureStore, manifest: pd.DataFrame) -> TrainingSet:
    """The utterances of `features` with the classes that `manifest` gives them.

    Raises:
        LaspaError: fewer than two training speakers.
    """
    rows = manifest.set_index("utterance_id").loc[features.utterance_ids]
    speakers, speaker = np.unique(rows["speaker"].to_numpy(dtype=str), return_inverse=True)
    languages, language = np.unique(rows["language"].to_numpy(dtype=str), return_inverse=True)
    if len(speakers) < 2:
        raise LaspaError(
            f"data/manifest.parquet: split train has {len(speakers)} speaker(s); 2 or more are needed"
        )
    return TrainingSet(
        features.frames,
        features.offsets,
        speaker,
        language,
        speakers.tolist(),
        languages.tolist(),
        frames_per_second=1000 / features.settings["hop_ms"],
    )


def batches(
    data: TrainingSet,
    batch_size: int,
    crop_frames: int,
    generator: np.random.Generator,
    warp: float = 0.0,
    bend: float = 0.0,
) -> Iterator[Batch]:
    """One epoch: every utterance once in random order, a random crop of each, the rest dropped.

    An utterance shorter than a crop is repeated to its length. Each crop's mel axis is moved as
    `moved_axis` says.
    """
    order = generator.permutation(len(data))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = order[start : start + batch_size]
        lengths = data.offsets[rows + 1] - data.offsets[rows]
        first = (generator.random(batch_size) * np.maximum(lengths - crop_frames + 1, 1)).astype(np.int64)
        positions = (first[:, None] + np.arange(crop_frames)) % lengths[:, None] + data.offsets[rows][:, None]
        mel = torch.from_numpy(data.frames[positions]).float()
        if warp or bend:
            mel = read_at(mel, moved_axis(batch_size, data.num_mels, warp, bend, generator))
        yield Batch(
            mel,
            torch.from_numpy(data.speaker[rows]),
            torch.from_numpy(data.language[rows]),
        )


def moved_axis(
    batch_size: int, num_mels: int, warp: float, bend: float, generator: np.random.Generator
) -> Tensor:
    """Where each band of each crop is read: a vocal tract of another length, formants that lie elsewhere.

    The axis is stretched by a factor drawn from 1 ± `warp`, then displaced by a random curve through
    BEND_KNOTS points whose standard deviation is `bend` of the axis. Our choice, after vocal tract
    length perturbation (Jaitly and Hinton, 2013).

    Returns:
        (batch, mels) positions in bands.
    """
    axis = torch.arange(num_mels, dtype=torch.float32)
    factor = torch.from_numpy(generator.uniform(1 - warp, 1 + warp, (batch_size, 1))).float()
    points = torch.from_numpy(generator.normal(size=(batch_size, 1, BEND_KNOTS))).float()
    curve = F.interpolate(points, size=num_mels, mode="linear", align_corners=True)[:, 0]
    return axis * factor + bend * num_mels * curve


def read_at(mel: Tensor, position: Tensor) -> Tensor:
    """Each band of the result is what `mel` holds at its position, between bands linearly.

    Beyond the first and the last band these are repeated.

    Args:
        mel: (batch, frames, mels).
        position: (batch, mels) in bands.
    """
    last = mel.shape[-1] - 1
    position = position.clamp(0, last)
    below = position.floor().long().clamp(max=last - 1)
    index = below[:, None, :].expand_as(mel)
    return torch.lerp(mel.gather(-1, index), mel.gather(-1, index + 1), (position - below)[:, None, :])


def batches_per_epoch(data: TrainingSet, batch_size: int) -> int:
    """Number of batches that `batches` yields.

    Raises:
        LaspaError: a batch larger than the data.
    """
    if len(data) < batch_size:
        raise LaspaError(
            f"params.yaml: train.batch_size is {batch_size} but the train split has only {len(data)} "
            f"utterances; choose at most {len(data)}"
        )
    return len(data) // batch_size
