"""Training data: the train split's classes, where its mels are read, and batches of random crops."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from laspa.errors import LaspaError
from laspa.features.store import FeatureStore
from laspa.params import Train
from laspa.training.mel_augmentation import augment_mels


class Mels(Protocol):
    """Where log-mels are read: a `FeatureStore`, or arrays in memory. num_frames: (utterances,)."""

    num_frames: np.ndarray
    num_mels: int

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """(rows, frames, mels) half precision, as `FeatureStore.crops`."""


@dataclass
class TrainingSet:
    """Utterances of the train split, aligned with their class indices.

    speaker, language: (utterances,) indices into `speakers` and `languages`, both sorted.
    starts: where the parts begin from which a batch is drawn; of equal length, the last one to the end.
    """

    mels: Mels
    speaker: np.ndarray
    language: np.ndarray
    speakers: list[str]
    languages: list[str]
    frames_per_second: float
    utterance_ids: list[str]
    starts: Sequence[int] = (0,)

    @property
    def num_mels(self) -> int:
        """Mel bands per frame."""
        return self.mels.num_mels

    def __len__(self) -> int:
        return len(self.speaker)


class Batch(NamedTuple):
    """mel: (batch, frames, mels) float32; speaker, language: (batch,) class indices."""

    mel: Tensor
    speaker: Tensor
    language: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; to a GPU from pinned memory, so that the CPU need not wait."""
        if device.type == "cuda":
            return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in self))
        return Batch(*(tensor.to(device) for tensor in self))


def training_set(features: FeatureStore, manifest: pd.DataFrame, starts: Sequence[int] = (0,)) -> TrainingSet:
    """The utterances of `features` with the classes that `manifest`, all of the train split, gives them.

    Raises:
        LaspaError: fewer than two training speakers.
    """
    rows = pd.Index(manifest["utterance_id"]).get_indexer(features.utterance_ids)
    speakers, speaker = np.unique(manifest["speaker"].to_numpy(dtype=str), return_inverse=True)
    languages, language = np.unique(manifest["language"].to_numpy(dtype=str), return_inverse=True)
    if len(speakers) < 2:
        raise LaspaError(
            f"data/manifest.parquet: split train has {len(speakers)} speaker(s); 2 or more are needed: give "
            "recordings of more, or lower manifest.dev_share and manifest.test_share"
        )
    return TrainingSet(
        features,
        speaker[rows],
        language[rows],
        speakers.tolist(),
        languages.tolist(),
        frames_per_second=1000 / features.settings["hop_ms"],
        utterance_ids=features.utterance_ids,
        starts=starts,
    )


def draw(data: TrainingSet, batch_size: int, generator: np.random.Generator, start: int = 0) -> np.ndarray:
    """The utterances of an epoch's batches from the part of `data` that begins at `start`,
    (batches, batch_size): each at most once, in random order."""
    count = batches_per_epoch(data, batch_size)
    rows = start + generator.permutation(len(data) - data.starts[-1])
    return rows[: count * batch_size].reshape(count, batch_size)


def batches(
    data: TrainingSet,
    drawn: np.ndarray,
    crop_frames: int,
    generator: np.random.Generator,
    options: Train | None = None,
) -> Iterator[Batch]:
    """A random crop of each of the utterances `drawn`, (batches, batch_size), changed by `augment_mels`.

    An utterance shorter than a crop of `crop_frames` is repeated.
    """
    batch_size = drawn.shape[1]
    for rows in drawn:
        starts = np.maximum(data.mels.num_frames[rows] - crop_frames + 1, 1)
        first = (generator.random(batch_size) * starts).astype(np.int64)
        mel = torch.from_numpy(data.mels.crops(rows, first, crop_frames)).float()
        if options is not None:
            mel = augment_mels(mel, options, generator)
        yield Batch(mel, torch.from_numpy(data.speaker[rows]), torch.from_numpy(data.language[rows]))


def prefetched(items: Iterator[Batch], ahead: int = 4) -> Iterator[Batch]:
    """The same batches, made by a thread that is `ahead` of them ahead.

    An error in the thread is raised where its batch would have come.
    """
    maker = ThreadPoolExecutor(1)
    try:
        waiting = deque(maker.submit(next, items, None) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(maker.submit(next, items, None))
            yield item
    finally:
        maker.shutdown(cancel_futures=True)


def batches_per_epoch(data: TrainingSet, batch_size: int) -> int:
    """Number of batches in an epoch, with `batch_size` utterances of each part.

    Raises:
        LaspaError: a batch larger than the data.
    """
    length = len(data) - data.starts[-1]
    if length < batch_size:
        raise LaspaError(
            f"params.yaml: train.batch_size is {batch_size} but the train split has only {length} "
            f"utterances; choose at most {length}"
        )
    return length // batch_size
