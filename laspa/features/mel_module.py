"""Front ends as torch modules of matrix products, for exported graphs; values as `log_mel`'s."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.audio.reading import SAMPLE_RATE
from laspa.features.kaldi import kaldi_filters, kaldi_window
from laspa.features.settings import CENTRED, PREEMPHASIS, framing, log_floor
from laspa.features.torchaudio_shim import melscale_fbanks
from laspa.params import Features

TOP_DB = 80.0  # SpeechBrain's
NEMO_EPSILON = 1e-5  # added to a deviation


def front_end(settings: Features) -> "FrontEnd":
    """`log_mel` for batches of waveforms of one length: (batch, samples) → (batch, frames, mels) float32."""
    if settings.kind in CENTRED:
        return CentredBank(settings)
    return LogFbank(settings) if settings.kind == "kaldi" else LogMel(settings)


class FrontEnd(nn.Module):
    """`forward` takes `signal: (batch, samples)` float32, full scale ±1 → (batch, frames, mels) float32.

    hop: samples between frames. least: samples of a frame, which a signal must have.
    """

    filters: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(self, settings: Features) -> None:
        super().__init__()
        self.length, self.hop, self.size = framing(settings)
        self.least, self.floor = self.length, log_floor(settings)

    def hold(self, filters: Tensor, cosines: Tensor, sines: Tensor) -> None:
        """The matrices of filters, (bins, mels), and of the windowed transform, (samples, bins)."""
        self.register_buffer("filters", filters.contiguous())
        self.register_buffer("cosines", cosines.float())
        self.register_buffer("sines", sines.float())

    def log_bands(self, power: Tensor) -> Tensor:
        """(batch, frames, bins) → logarithms less each band's mean, in half precision's values."""
        bands = (power @ self.filters).clamp(min=self.floor).log()
        return (bands - bands.mean(dim=1, keepdim=True)).half().float()


class LogMel(FrontEnd):
    """Log-mels of the kind `mel`, in half precision's values.

    The Fourier transform is a product with cosines and sines over the bins that a filter holds. A frame is
    folded about the middle of its window first: cosines are even there and sines odd, so that half of the
    samples is enough: 0.6 times the time of a convolution with a stride.
    """

    def __init__(self, settings: Features) -> None:
        super().__init__(settings)
        self.least = self.size
        filters, bins = _held(mel_filters(settings, self.size // 2 + 1))
        window = torch.hann_window(self.length, dtype=torch.float64)[-(self.length // 2) :]
        # The periodic window is 0 at its first sample, and equal at n and length − n.
        beyond = torch.arange(-(-self.length // 2), self.length, dtype=torch.float64) - self.length / 2
        angle = 2 * math.pi * beyond[:, None] * bins[None, :] / self.size
        weight = torch.where(beyond == 0, 0.5, 1.0) * window  # a sample in the middle is added to itself
        self.hold(filters, angle.cos() * weight[:, None], angle.sin() * weight[:, None])

    def forward(self, signal: Tensor) -> Tensor:
        first = (self.size - self.length) // 2
        frames = _frames(signal, self.hop, self.size, first + 1, first + self.length)
        half = len(self.cosines)
        after, before = frames[:, :, -half:], frames[:, :, :half].flip(2)
        power = ((after + before) @ self.cosines).square() + ((after - before) @ self.sines).square()
        return self.log_bands(power)


class LogFbank(FrontEnd):
    """Kaldi's filter banks (laspa/features/kaldi.py), in half precision's values.

    Taking the mean away, pre-emphasis, window and Fourier transform are linear: one matrix for all.
    """

    def __init__(self, settings: Features) -> None:
        super().__init__(settings)
        filters, bins = _held(torch.from_numpy(kaldi_filters(settings).toarray().T))
        without_mean = torch.eye(self.length, dtype=torch.float64) - 1 / self.length
        before = torch.cat([without_mean[:, :1], without_mean[:, :-1]], dim=1)
        windowed = (without_mean - PREEMPHASIS * before) * torch.from_numpy(kaldi_window(settings)).double()
        time = torch.arange(self.length, dtype=torch.float64)
        angle = 2 * math.pi * time[:, None] * bins[None, :] / self.size
        self.hold(filters, windowed @ angle.cos(), windowed @ angle.sin())

    def forward(self, signal: Tensor) -> Tensor:
        frames = _frames(signal, self.hop, self.length, 0, self.length)
        return self.log_bands((frames @ self.cosines).square() + (frames @ self.sines).square())


class CentredBank(FrontEnd):
    """The features of SpeechBrain, ReDimNet and NeMo, in half precision's values: frames around every hop.

    speechbrain: Hamming window, zeros beyond the ends; filters linear in Hz with equal sides; decibels, at
        most TOP_DB below the utterance's highest.
    redimnet: pre-emphasis, Hamming window, the signal mirrored at its ends; HTK's filters;
        ln(energy + floor).
    nemo: pre-emphasis, symmetric Hann window, zeros beyond the ends; Slaney's filters, of equal area;
        ln(energy + floor), each band divided by its deviation; without the last frame.
    Memory grows with the recording: 5 KB a frame.
    """

    def __init__(self, settings: Features) -> None:
        super().__init__(settings)
        self.kind = settings.kind
        size = self.length if self.kind == "speechbrain" else self.size
        time, bins = (torch.arange(count, dtype=torch.float64) for count in (self.length, size // 2 + 1))
        make = torch.hann_window if self.kind == "nemo" else torch.hamming_window
        window = make(self.length, periodic=self.kind != "nemo", dtype=torch.float64)
        angle = 2 * math.pi * time[:, None] * bins[None, :] / size
        if self.kind == "speechbrain":
            filters = _even_filters(settings, bins * SAMPLE_RATE / size)
        else:
            filters = mel_filters(settings, len(bins), slaney=self.kind == "nemo")
        self.hold(filters, window[:, None] * angle.cos(), window[:, None] * angle.sin())

    def forward(self, signal: Tensor) -> Tensor:
        if self.kind != "speechbrain":
            before = signal[:, 1:2] if self.kind == "redimnet" else torch.zeros_like(signal[:, :1])
            signal = signal - PREEMPHASIS * torch.cat([before, signal[:, :-1]], dim=1)
        half = self.length // 2
        signal = F.pad(signal, (half, half), mode="reflect" if self.kind == "redimnet" else "constant")
        frames = _frames(signal, self.hop, self.length, 0, self.length)
        frames = frames[:, :-1] if self.kind == "nemo" else frames
        power = (frames @ self.cosines).square() + (frames @ self.sines).square()
        energy = power @ self.filters
        if self.kind != "speechbrain":
            bands = (energy + self.floor).log()
        else:
            bands = 10 * energy.clamp(min=self.floor).log10()
            bands = bands.maximum(bands.amax(dim=(1, 2), keepdim=True) - TOP_DB)
        bands = bands - bands.mean(dim=1, keepdim=True)
        if self.kind == "nemo":
            count = max(bands.shape[1] - 1, 1)
            bands = bands / ((bands.square().sum(dim=1, keepdim=True) / count).sqrt() + NEMO_EPSILON)
        return bands.half().float()


def mel_filters(settings: Features, bins: int, slaney: bool = False) -> Tensor:
    """torchaudio's triangles, (bins, num_mels): HTK's of height 1, or Slaney's of equal area."""
    edges = settings.low_hz, settings.high_hz, settings.num_mels, SAMPLE_RATE
    named = {"norm": "slaney", "mel_scale": "slaney"} if slaney else {"mel_scale": "htk"}
    return melscale_fbanks(bins, *edges, **named)


def _held(filters: Tensor) -> tuple[Tensor, Tensor]:
    """The bins that a filter holds, from the first to the last: their filters, and their numbers, float64."""
    held = filters.any(dim=1).nonzero().flatten()
    bins = torch.arange(int(held[0]), int(held[-1]) + 1)
    return filters[bins], bins.double()


def _even_filters(settings: Features, bins: Tensor) -> Tensor:
    """(bins, num_mels): triangles whose right side is as wide as the left one."""
    low, high = (2595 * math.log10(1 + edge / 700) for edge in (settings.low_hz, settings.high_hz))
    mels = torch.linspace(low, high, settings.num_mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    width = edges[1:-1] - edges[:-2]
    return (1 - ((bins[:, None] - edges[1:-1]) / width).abs()).clamp(min=0).float()


def _frames(signal: Tensor, hop: int, whole: int, first: int, stop: int) -> Tensor:
    """Samples `first` to `stop` of each frame of `whole` samples: (batch, frames, stop − first).

    Whole hops side by side: a graph does this in a few copies, `unfold` in one per sample.
    """
    count = (signal.shape[1] - whole) // hop + 1
    side_by_side = -(-stop // hop)
    length = (count + side_by_side - 1) * hop
    hops = F.pad(signal, (0, length))[:, :length].reshape(signal.shape[0], -1, hop)
    frames = torch.cat([hops[:, shift : shift + count] for shift in range(side_by_side)], dim=2)
    return frames[:, :, first:stop]
