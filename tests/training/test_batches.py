"""Batches of crops: what is in them, that each utterance comes once, that seeds decide."""

import numpy as np
import pytest
import torch

from laspa.errors import LaspaError
from laspa.training.batches import (
    TrainingSet,
    batches,
    batches_per_epoch,
    draw,
    prefetched,
)
from tests.made_up import InMemory


def counting_set(lengths: list[int]) -> TrainingSet:
    """Utterance u's frame f holds 100 · u + f in both mel bands, exact in half precision."""
    frames = np.concatenate([100 * u + np.arange(n) for u, n in enumerate(lengths)]).astype(np.float16)
    mels = InMemory(np.stack([frames, frames], axis=1), np.array(lengths))
    classes = np.arange(len(lengths))
    return TrainingSet(mels, classes, classes % 2, [], [], 100.0, [])


def epoch(data: TrainingSet, batch_size: int, crop_frames: int, seed: int):
    generator = np.random.default_rng(seed)
    return batches(data, draw(data, batch_size, generator), crop_frames, generator)


def test_crops_are_consecutive_frames_of_the_labelled_utterance():
    data = counting_set([10, 20, 30, 7])
    batch = next(epoch(data, 4, 8, seed=0))
    assert sorted(batch.speaker.tolist()) == [0, 1, 2, 3]
    for mel, speaker, language in zip(batch.mel.numpy(), batch.speaker, batch.language, strict=True):
        within = mel[:, 0] - 100 * int(speaker)
        length = [10, 20, 30, 7][int(speaker)]
        steps = np.diff(within) % length
        assert (steps == 1).all()
        assert within.min() >= 0
        assert within.max() < length
        assert int(language) == int(speaker) % 2


def test_an_utterance_shorter_than_a_crop_is_repeated():
    batch = next(epoch(counting_set([3, 3]), 2, 7, seed=0))
    row = batch.mel[batch.speaker.tolist().index(0), :, 0].tolist()
    assert row == [0, 1, 2, 0, 1, 2, 0]


def test_an_epoch_visits_every_utterance_at_most_once_and_drops_the_rest():
    data = counting_set([9] * 11)
    seen = [s for batch in epoch(data, 4, 5, seed=0) for s in batch.speaker.tolist()]
    assert len(seen) == len(set(seen)) == 8 == 4 * batches_per_epoch(data, 4)


def test_the_generators_seed_decides_the_epoch():
    data = counting_set([30] * 8)
    first, again, other = (next(epoch(data, 8, 10, seed)).mel for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_prefetching_changes_nothing_and_hands_errors_on():
    data = counting_set([30] * 8)
    ahead = prefetched(epoch(data, 2, 10, seed=3))
    for got, expected in zip(ahead, epoch(data, 2, 10, seed=3), strict=True):
        assert torch.equal(got.mel, expected.mel)

    def broken():
        yield next(epoch(data, 2, 10, seed=3))
        raise LaspaError("no more")

    ahead = prefetched(broken())
    next(ahead)
    with pytest.raises(LaspaError, match="no more"):
        next(ahead)


def test_a_batch_larger_than_the_data_is_an_error():
    with pytest.raises(LaspaError, match="batch_size is 5 but the train split has only 2 utterances"):
        batches_per_epoch(counting_set([9, 9]), 5)
