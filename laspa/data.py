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
        raise LaspaError(f"data/manifest.parquet: split train has {len(speakers)} speaker(s); 2 or more are needed")
    return TrainingSet(
        features.frames,
        features.offsets,
        speaker,
        language,
        speakers.tolist(),
        languages.tolist(),
        frames_per_second=1000 / features.settings["hop_ms"],
    )


def batches(data: TrainingSet, batch_size: int, crop_frames: int, generator: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every utterance once in random order, a random crop of each, the rest dropped.

    An utterance shorter than a crop is repeated to its length.
    """
    order = generator.permutation(len(data))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = order[start : start + batch_size]
        lengths = data.offsets[rows + 1] - data.offsets[rows]
        first = (generator.random(batch_size) * np.maximum(lengths - crop_frames + 1, 1)).astype(np.int64)
        positions = (first[:, None] + np.arange(crop_frames)) % lengths[:, None] + data.offsets[rows][:, None]
        yield Batch(
            torch.from_numpy(data.frames[positions]).float(),
            torch.from_numpy(data.speaker[rows]),
            torch.from_numpy(data.language[rows]),
        )


def batches_per_epoch(data: TrainingSet, batch_size: int) -> int:
    """Number of batches that `batches` yields.

    Raises:
        LaspaError: a batch larger than the data.
    """
    if len(data) < batch_size:
        raise LaspaError(
            f"params.yaml: train.batch_size is {batch_size} but the train split has only {len(data)} utterances; "
            f"choose at most {len(data)}"
        )
    return len(data) // batch_size
