"""What training does to the mels of a crop: SpecAugment's masks, and noise added in power.

Cheaper than augmented copies, and new each epoch; but a mel that was mean-normalised has lost how loud
its bands were, so noise can only be added relative to what speech has in each band.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from laspa.params import Train

COLOUR_KNOTS = 5  # points of the curve that colours a crop's noise over the bands; our choice
COLOUR_DB = 6.0  # standard deviation of these points; our choice

MelChange = Callable[[Tensor, np.random.Generator], Tensor]


def mel_change(options: Train) -> MelChange | None:
    """What `options` ask to be done to (batch, frames, mels) crops; None for nothing."""
    if not (options.mask_bands or options.mask_frames or options.noise_share):
        return None

    def change(mel: Tensor, generator: np.random.Generator) -> Tensor:
        if options.noise_share:
            mel = with_noise(mel, options.noise_share, options.noise_snr, generator)
        return masked(mel, options.mask_bands, options.mask_frames, generator)

    return change


def masked(mel: Tensor, most_bands: int, most_frames: int, generator: np.random.Generator) -> Tensor:
    """Some neighbouring bands and some neighbouring frames of each crop set to 0, which is their mean.

    SpecAugment (Park et al., 2019) with one mask each: its width is drawn from 0 to the most, its place
    from all that hold it.

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
    """log(exp(mel) + noise) in a `share` of the crops; each band's mean over the crop stays what it was.

    The noise is stationary: each value is exponentially distributed, as the power of one frequency is,
    about a level that is the crop's mean power, less an SNR drawn from `snr_db`, under a random smooth
    colour. Our choice.

    Args:
        mel: (batch, frames, mels) natural logarithms of power.
    """
    batch, frames, mels = mel.shape
    chosen = np.flatnonzero(generator.random(batch) < share)
    if not len(chosen):
        return mel
    points = torch.from_numpy(generator.normal(0, COLOUR_DB, (len(chosen), 1, COLOUR_KNOTS))).float()
    colour_db = F.interpolate(points, size=mels, mode="linear", align_corners=True)
    level_db = (
        colour_db - torch.from_numpy(generator.uniform(snr_db[0], snr_db[1], (len(chosen), 1, 1))).float()
    )
    values = torch.from_numpy(generator.standard_exponential((len(chosen), frames, mels), dtype=np.float32))
    clean = mel[chosen]
    power = clean.exp()
    level = power.mean(dim=(1, 2), keepdim=True) * 10 ** (level_db / 10)
    noisy = (power + level * values).log()
    mended = mel.clone()
    mended[chosen] = noisy - noisy.mean(dim=1, keepdim=True) + clean.mean(dim=1, keepdim=True)
    return mended
