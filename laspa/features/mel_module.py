"""Both front ends as torch modules of matrix products, for exported graphs; values as `log_mel`'s."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.features.kaldi import kaldi_filters, kaldi_window
from laspa.features.settings import LOG_FLOOR, PREEMPHASIS, framing, log_floor
from laspa.features.torchaudio_shim import melscale_fbanks
from laspa.params import Features


def front_end(settings: Features, sample_rate: int) -> "LogMel | LogFbank":
    """`log_mel` for batches of waveforms of one length: (batch, samples) → (batch, frames, mels) float32."""
    return LogFbank(settings) if settings.kind == "kaldi" else LogMel(settings, sample_rate)


class LogMel(nn.Module):
    """Log-mels of the kind `mel`, in half precision's values.

    The Fourier transform is a product with cosines and sines over the bins that a filter holds. A frame is
    folded about the middle of its window first: cosines are even there and sines odd, so that half of the
    samples is enough: 0.6 times the time of a convolution with a stride.
    """

    def __init__(self, settings: Features, sample_rate: int) -> None:
        super().__init__()
        self.length, self.hop, self.size = framing(settings)
        self.least = self.size  # samples of one frame
        filters = melscale_fbanks(
            self.size // 2 + 1,
            settings.low_hz,
            settings.high_hz,
            settings.num_mels,
            sample_rate,
            norm=None,
            mel_scale="htk",
        )
        held = filters.any(dim=1).nonzero().flatten()
        bins = torch.arange(int(held[0]), int(held[-1]) + 1, dtype=torch.float64)
        window = torch.hann_window(self.length, dtype=torch.float64)[-(self.length // 2) :]
        # The periodic window is 0 at its first sample, and equal at n and length − n.
        beyond = torch.arange(-(-self.length // 2), self.length, dtype=torch.float64) - self.length / 2
        angle = 2 * math.pi * beyond[:, None] * bins[None, :] / self.size
        weight = torch.where(beyond == 0, 0.5, 1.0) * window  # a sample in the middle is added to itself
        self.filters: Tensor
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("filters", filters[held[0] : held[-1] + 1].contiguous())
        self.register_buffer("cosines", (angle.cos() * weight[:, None]).float())
        self.register_buffer("sines", (angle.sin() * weight[:, None]).float())

    def forward(self, signal: Tensor) -> Tensor:
        """`signal: (batch, samples)` float32, full scale ±1 → (batch, frames, mels) float32."""
        first = (self.size - self.length) // 2
        frames = _frames(signal, self.hop, self.size, first + 1, first + self.length)
        half = len(self.cosines)
        after, before = frames[:, :, -half:], frames[:, :, :half].flip(2)
        power = ((after + before) @ self.cosines).square() + ((after - before) @ self.sines).square()
        return _centred_logarithm(power @ self.filters, LOG_FLOOR)


class LogFbank(nn.Module):
    """Kaldi's filter banks (laspa/features/kaldi.py), in half precision's values.

    Taking the mean away, pre-emphasis, window and Fourier transform are linear: one matrix for all.
    """

    def __init__(self, settings: Features) -> None:
        super().__init__()
        self.length, self.hop, size = framing(settings)
        self.least = self.length
        filters = torch.from_numpy(kaldi_filters(settings).toarray().T)
        held = filters.any(dim=1).nonzero().flatten()
        bins = torch.arange(int(held[0]), int(held[-1]) + 1, dtype=torch.float64)
        identity = torch.eye(self.length, dtype=torch.float64)
        without_mean = identity - 1 / self.length
        before = torch.cat([without_mean[:, :1], without_mean[:, :-1]], dim=1)
        windowed = (without_mean - PREEMPHASIS * before) * torch.from_numpy(kaldi_window(settings)).double()
        angle = 2 * math.pi * torch.arange(self.length, dtype=torch.float64)[:, None] * bins[None, :] / size
        self.floor = log_floor(settings)
        self.filters: Tensor
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("filters", filters[held[0] : held[-1] + 1].contiguous())
        self.register_buffer("cosines", (windowed @ angle.cos()).float())
        self.register_buffer("sines", (windowed @ angle.sin()).float())

    def forward(self, signal: Tensor) -> Tensor:
        """`signal: (batch, samples)` float32, full scale ±1 → (batch, frames, mels) float32."""
        frames = _frames(signal, self.hop, self.length, 0, self.length)
        power = (frames @ self.cosines).square() + (frames @ self.sines).square()
        return _centred_logarithm(power @ self.filters, self.floor)


def _frames(signal: Tensor, hop: int, whole: int, first: int, stop: int) -> Tensor:
    """Samples `first` to `stop` of each frame of `whole` samples: (batch, frames, stop − first).

    Whole hops side by side: a graph does this in a few copies, `unfold` in one per sample.
    """
    count = (signal.shape[1] - whole) // hop + 1
    side_by_side = -(-stop // hop)
    length = (count + side_by_side - 1) * hop
    hops = F.pad(signal, (0, length))[:, :length].reshape(signal.shape[0], -1, hop)
    return torch.cat([hops[:, shift : shift + count] for shift in range(side_by_side)], dim=2)[
        :, :, first:stop
    ]


def _centred_logarithm(energy: Tensor, floor: float) -> Tensor:
    bands = energy.clamp(min=floor).log()
    return (bands - bands.mean(dim=1, keepdim=True)).half().float()
