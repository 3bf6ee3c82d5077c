"""What training does to the mels of a crop: a warped mel axis, noise added in power, SpecAugment's masks.

Cheaper than augmented copies, and new each epoch. But a mean-normalised mel no longer says how loud each
band was, so noise is only added relative to the speech in each band.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from laspa.params import Train

KNOTS = 5  # points of a random curve over the bands, about one per formant; our choice
COLOUR_DB = 6.0  # standard deviation of the points of a noise's colour; our choice


def augment_mels(mel: Tensor, options: Train, generator: np.random.Generator) -> Tensor:
    """What `options` ask to be done to the crops `mel: (batch, frames, mels)`."""
    if options.warp or options.bend:
        axis = warped_axis(len(mel), mel.shape[-1], options.warp, options.bend, generator)
        mel = read_bands(mel, axis)
    if options.noise_share:
        mel = with_noise(mel, options.noise_share, options.noise_snr, generator)
    if options.noise_share or options.mask_bands or options.mask_frames:  # a mask of width 0 is drawn too
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
    curve = _random_curves(batch_size, num_mels, 1.0, generator)[:, 0]
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


def with_noise(mel: Tensor, share: float, snr_db: list[float], generator: np.random.Generator) -> Tensor:
    """log(exp(mel) + noise) in a `share` of the crops; each band's mean over the crop does not change.

    The noise is stationary: each value is exponentially distributed, as the power of one frequency is. Its
    mean is the crop's mean power, minus an SNR drawn from `snr_db`, with a random smooth colour. Our choice.

    Args:
        mel: (batch, frames, mels) natural logarithms of power.
    """
    batch, frames, mels = mel.shape
    chosen = np.flatnonzero(generator.random(batch) < share)
    if not len(chosen):
        return mel
    colour_db = _random_curves(len(chosen), mels, COLOUR_DB, generator)
    snr = torch.from_numpy(generator.uniform(snr_db[0], snr_db[1], (len(chosen), 1, 1))).float()
    level_db = colour_db - snr
    values = torch.from_numpy(generator.standard_exponential((len(chosen), frames, mels), dtype=np.float32))
    clean = mel[chosen]
    power = clean.exp()
    level = power.mean(dim=(1, 2), keepdim=True) * 10 ** (level_db / 10)
    noisy = (power + level * values).log()
    mended = mel.clone()
    mended[chosen] = noisy - noisy.mean(dim=1, keepdim=True) + clean.mean(dim=1, keepdim=True)
    return mended


def _random_curves(count: int, mels: int, deviation: float, generator: np.random.Generator) -> Tensor:
    """(count, 1, mels), each linear between KNOTS normally distributed points."""
    points = torch.from_numpy(generator.normal(0, deviation, (count, 1, KNOTS))).float()
    return F.interpolate(points, size=mels, mode="linear", align_corners=True)
