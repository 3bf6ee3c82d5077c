"""Training data: the train split's classes, where its mels are read, and batches of random crops."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
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
    """

    mels: Mels
    speaker: np.ndarray
    language: np.ndarray
    speakers: list[str]
    languages: list[str]
    frames_per_second: float
    utterance_ids: list[str]

    @property
    def num_mels(self) -> int:
        """Mel bands per frame."""
        return self.mels.num_mels

    def __len__(self) -> int:
        return len(self.speaker)

    def speakers_by_language(self) -> Tensor:
        """Boolean (languages, speakers): who speaks which language in the train split."""
        speaks = torch.zeros(len(self.languages), len(self.speakers), dtype=torch.bool)
        speaks[torch.from_numpy(self.language), torch.from_numpy(self.speaker)] = True
        return speaks


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


def training_set(features: FeatureStore, manifest: pd.DataFrame) -> TrainingSet:
    """The utterances of `features` with the classes that `manifest`, all of the train split, gives them.

    Raises:
        LaspaError: fewer than two training speakers.
    """
    rows = pd.Index(manifest["utterance_id"]).get_indexer(features.utterance_ids)
    speakers, speaker = np.unique(manifest["speaker"].to_numpy(dtype=str), return_inverse=True)
    languages, language = np.unique(manifest["language"].to_numpy(dtype=str), return_inverse=True)
    if len(speakers) < 2:
        raise LaspaError(
            f"data/manifest.parquet: split train has {len(speakers)} speaker(s); 2 or more are needed"
        )
    return TrainingSet(
        features,
        speaker[rows],
        language[rows],
        speakers.tolist(),
        languages.tolist(),
        frames_per_second=1000 / features.settings["hop_ms"],
        utterance_ids=features.utterance_ids,
    )


def draw(
    data: TrainingSet, batch_size: int, generator: np.random.Generator, by: str = "utterance", each: int = 1
) -> np.ndarray:
    """The utterances of an epoch's batches.

    Args:
        by: `utterance`: every utterance once in random order; those that fill no batch are dropped.
            `language`: equally many of each language in a batch. `speaker`: `each` utterances of every
            speaker drawn. In these two every language or speaker comes once before one comes again, and
            so do the utterances of each: rare ones are repeated within an epoch.
            `pair`: half a batch are pairs of one speaker in two languages, the rest as `utterance`.

    Returns:
        (batches, batch_size) indices of utterances.

    Raises:
        LaspaError: pairs where no speaker speaks two languages.
    """
    count = batches_per_epoch(data, batch_size)
    if by == "utterance":
        return generator.permutation(len(data))[: count * batch_size].reshape(count, batch_size)
    if by == "pair":
        pairs = _cross_language_pairs(data, count * (batch_size // 4), generator)
        paired = pairs.reshape(count, -1)
        rest = generator.permutation(len(data))[: count * (batch_size - paired.shape[1])]
        return np.concatenate([paired, rest.reshape(count, -1)], axis=1)
    label, each = (data.language, 1) if by == "language" else (data.speaker, each)
    members = [_endless(np.flatnonzero(label == name), generator) for name in np.unique(label)]
    turns = _endless(np.arange(len(members)), generator)
    wanted = math.ceil(batch_size / each)
    rows = [
        [next(members[group]) for group in islice(turns, wanted) for _ in range(each)][:batch_size]
        for _ in range(count)
    ]
    return np.array(rows)


def _cross_language_pairs(data: TrainingSet, count: int, generator: np.random.Generator) -> np.ndarray:
    """(count, 2) utterances of one speaker in two languages; each such speaker before one comes again."""
    spoken = data.speakers_by_language().numpy()  # (languages, speakers)
    bilingual = np.flatnonzero(spoken.sum(axis=0) > 1)
    if not len(bilingual):
        raise LaspaError(
            "params.yaml: train.batch_by is pair but no training speaker speaks two languages; "
            "choose utterance, language or speaker"
        )
    cell = data.speaker * len(data.languages) + data.language
    order = np.argsort(cell, kind="stable")  # the utterances of each speaker and language are neighbours
    ordered = cell[order]
    pairs = np.empty((count, 2), dtype=np.int64)
    for row, speaker in zip(pairs, _endless(bilingual, generator), strict=False):
        languages = generator.choice(np.flatnonzero(spoken[:, speaker]), size=2, replace=False)
        cells = speaker * len(data.languages) + languages
        ends = zip(*np.searchsorted(ordered, [cells, cells + 1]), strict=True)
        row[:] = [generator.choice(order[begin:end]) for begin, end in ends]
    return pairs


def _endless(values: np.ndarray, generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(values)


def batches(
    data: TrainingSet,
    drawn: np.ndarray,
    crop_frames: int | np.ndarray,
    generator: np.random.Generator,
    options: Train | None = None,
) -> Iterator[Batch]:
    """A random crop of each of the utterances `drawn`, (batches, batch_size), changed by `augment_mels`.

    `crop_frames` is the length of all crops, or (batches,) lengths. An utterance shorter than a crop is
    repeated.
    """
    batch_size = drawn.shape[1]
    for rows, frames in zip(drawn, np.broadcast_to(crop_frames, len(drawn)), strict=True):
        starts = np.maximum(data.mels.num_frames[rows] - frames + 1, 1)
        first = (generator.random(batch_size) * starts).astype(np.int64)
        mel = torch.from_numpy(data.mels.crops(rows, first, int(frames))).float()
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
    """Number of batches in an epoch.

    Raises:
        LaspaError: a batch larger than the data.
    """
    if len(data) < batch_size:
        raise LaspaError(
            f"params.yaml: train.batch_size is {batch_size} but the train split has only {len(data)} "
            f"utterances; choose at most {len(data)}"
        )
    return len(data) // batch_size
