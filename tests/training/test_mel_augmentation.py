"""Warped axes and masks on the mels of crops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from laspa.params import load_params
from laspa.training.mel_augmentation import (
    augment_mels,
    masked,
    read_bands,
    warped_axis,
)

TRAIN = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa").train


def test_a_mask_hides_one_block_of_bands_and_one_of_frames_of_every_width_up_to_the_most() -> None:
    mel = torch.ones(4000, 12, 8)
    hidden = (masked(mel, 3, 5, np.random.default_rng(0)) == 0).numpy()
    bands, frames = hidden.all(axis=1), hidden.all(axis=2)
    # What is hidden is whole bands and whole frames, nothing else.
    np.testing.assert_array_equal(hidden, bands[:, None, :] | frames[:, :, None])
    for rows, most in ((bands, 3), (frames, 5)):
        widths = rows.sum(axis=1)
        counts = np.bincount(widths, minlength=most + 1)
        assert len(counts) == most + 1
        np.testing.assert_allclose(counts / 4000, 1 / (most + 1), atol=0.03)
        edges = np.diff(np.pad(rows, ((0, 0), (1, 1))).astype(int), axis=1)
        assert ((edges == 1).sum(axis=1) == (widths > 0)).all()  # neighbours
        assert rows[:, 0].any()
        assert rows[:, -1].any()


def test_a_mask_wider_than_the_crop_hides_at_most_all_of_it() -> None:
    assert masked(torch.ones(50, 3, 2), 9, 9, np.random.default_rng(0)).shape == (50, 3, 2)


def test_mels_are_read_between_bands_linearly_and_not_beyond_the_ends() -> None:
    mel = torch.tensor([0.0, 10.0, 20.0, 30.0, 40.0]).expand(2, 3, 5)
    position = torch.tensor([[0.0, 1.25, 2.5, 3.75, 5.0], [-1.0, 0.5, 1.0, 1.5, 2.0]])
    moved = read_bands(mel, position)
    assert moved[0, 0].tolist() == [0.0, 12.5, 25.0, 37.5, 40.0]
    assert moved[1, 2].tolist() == [0.0, 5.0, 10.0, 15.0, 20.0]
    torch.testing.assert_close(read_bands(mel, torch.arange(5.0).expand(2, 5)), mel)


def test_a_warp_stretches_every_band_alike_and_a_bend_displaces_them_smoothly() -> None:
    band = torch.arange(80.0)
    stretched = warped_axis(200, 80, 0.08, 0.0, np.random.default_rng(0))
    factor = stretched[:, 1]
    torch.testing.assert_close(stretched, band * factor[:, None])
    assert 0.92 <= factor.min() < 0.93
    assert 1.07 < factor.max() <= 1.08
    bent = warped_axis(4000, 80, 0.0, 0.02, np.random.default_rng(0)) - band
    # At the ends a knot itself is read: its deviation is 0.02 of 80 bands.
    assert bent[:, [0, 79]].std(dim=0).tolist() == pytest.approx([1.6, 1.6], rel=0.05)
    # Between two knots the curve is a straight line.
    assert bent.diff(dim=1).diff(dim=1).abs().gt(1e-3).sum(dim=1).max() <= 2 * 3


def test_only_what_is_asked_for_is_done() -> None:
    off = TRAIN.model_copy(update={"warp": 0.0, "bend": 0.0})
    mel = torch.randn(16, 20, 10, generator=torch.Generator().manual_seed(0))
    assert augment_mels(mel, off, np.random.default_rng(0)) is mel
    for switch in ({"mask_bands": 8}, {"mask_frames": 8}, {"warp": 0.1}, {"bend": 0.1}):
        changed = augment_mels(mel, off.model_copy(update=switch), np.random.default_rng(0))
        assert not torch.equal(changed, mel), switch
