"""Training data in memory: the train split's mels, its classes, and batches of random crops."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from laspa.errors import LaspaError
from laspa.features import FeatureStore


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
    data: TrainingSet, batch_size: int, crop_frames: int, generator: np.random.Generator, warp: float = 0.0
) -> Iterator[Batch]:
    """One epoch: every utterance once in random order, a random crop of each, the rest dropped.

    An utterance shorter than a crop is repeated to its length. With `warp` each crop's mel axis
    is stretched by a factor drawn from 1 ± warp.
    """
    order = generator.permutation(len(data))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = order[start : start + batch_size]
        lengths = data.offsets[rows + 1] - data.offsets[rows]
        first = (generator.random(batch_size) * np.maximum(lengths - crop_frames + 1, 1)).astype(np.int64)
        positions = (first[:, None] + np.arange(crop_frames)) % lengths[:, None] + data.offsets[rows][:, None]
        mel = torch.from_numpy(data.frames[positions]).float()
        if warp:
            mel = warp_mels(mel, torch.from_numpy(generator.uniform(1 - warp, 1 + warp, batch_size)).float())
        yield Batch(
            mel,
            torch.from_numpy(data.speaker[rows]),
            torch.from_numpy(data.language[rows]),
        )


def warp_mels(mel: Tensor, factor: Tensor) -> Tensor:
    """Stretch the mel axis: band i of the result is band i · factor of `mel`, between bands linearly.

    A vocal tract of another length, roughly; past the last band that band is repeated.

    Args:
        mel: (batch, frames, mels).
        factor: (batch,).
    """
    last = mel.shape[-1] - 1
    position = (torch.arange(mel.shape[-1])[None, :] * factor[:, None]).clamp(max=last)
    below = position.floor().long().clamp(max=last - 1)
    share = (position - below)[:, None, :]
    index = below[:, None, :].expand_as(mel)
    return torch.lerp(mel.gather(-1, index), mel.gather(-1, index + 1), share)


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
