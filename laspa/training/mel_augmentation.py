"""What training does to the mels of a crop, new each epoch: a warped mel axis, SpecAugment's masks."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from laspa.params import Train

KNOTS = 5  # points of a random curve over the bands, about one per formant; our choice


def augment_mels(mel: Tensor, options: Train, generator: np.random.Generator) -> Tensor:
    """What `options` ask to be done to the crops `mel: (batch, frames, mels)`."""
    if options.warp or options.bend:
        axis = warped_axis(len(mel), mel.shape[-1], options.warp, options.bend, generator)
        mel = read_bands(mel, axis)
    if options.mask_bands or options.mask_frames:  # a mask of width 0 is drawn too
        mel = masked(mel, options.mask_bands, options.mask_frames, generator)
    return mel


def warped_axis(
    batch_size: int, num_mels: int, warp: float, bend: float, generator: np.random.Generator
) -> Tensor:
    """Where each band of each crop is read: as if the vocal tract had another length and other formants.

    The axis is stretched by a factor drawn from 1 ± `warp`, then displaced by a random curve through
    KNOTS points whose standard deviation is `bend` of the axis. Our choice, after vocal tract
    length perturbation (Jaitly and Hinton, 2013).

    Returns:
        (batch, mels) positions in bands.
    """
    axis = torch.arange(num_mels, dtype=torch.float32)
    factor = torch.from_numpy(generator.uniform(1 - warp, 1 + warp, (batch_size, 1))).float()
    points = torch.from_numpy(generator.normal(0, 1.0, (batch_size, 1, KNOTS))).float()
    curve = F.interpolate(points, size=num_mels, mode="linear", align_corners=True)[:, 0]
    return axis * factor + bend * num_mels * curve


def read_bands(mel: Tensor, position: Tensor) -> Tensor:
    """`mel` at the given positions, linear between bands; beyond the first and last band these are repeated.

    Args:
        mel: (batch, frames, mels).
        position: (batch, mels) in bands.
    """
    last = mel.shape[-1] - 1
    position = position.clamp(0, last)
    below = position.floor().long().clamp(max=last - 1)
    index = below[:, None, :].expand_as(mel)
    return torch.lerp(mel.gather(-1, index), mel.gather(-1, index + 1), (position - below)[:, None, :])


def masked(mel: Tensor, most_bands: int, most_frames: int, generator: np.random.Generator) -> Tensor:
    """Some neighbouring bands and some neighbouring frames of each crop set to 0, which is their mean.

    SpecAugment (Park et al., 2019) with one mask each: its width is drawn from 0 to `most_bands` or
    `most_frames`, its place from all possible ones.

    Args:
        mel: (batch, frames, mels), mean-normalised.
    """
    batch, frames, mels = mel.shape
    hidden = torch.zeros(mel.shape, dtype=torch.bool)
    for axis, size, most in ((2, mels, most_bands), (1, frames, most_frames)):
        width = generator.integers(0, min(most, size) + 1, batch)
        first = generator.integers(0, size - width + 1)
        place = np.arange(size)
        inside = (place >= first[:, None]) & (place < (first + width)[:, None])
        hidden |= torch.from_numpy(inside).unsqueeze(3 - axis)
    return mel.masked_fill(hidden, 0.0)
