"""Log-mel spectrograms: the input of both encoders."""

import warnings
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from laspa.audio.reading import SAMPLE_RATE
from laspa.errors import LaspaError
from laspa.features.kaldi import log_fbank
from laspa.features.mel_module import CentredBank
from laspa.features.settings import CENTRED, LOG_FLOOR, framing, not_finite, refuse_short
from laspa.features.torchaudio_shim import melscale_fbanks
from laspa.params import Features

BLOCK_FRAMES = 2048  # bounds the memory of long recordings: 4 MiB of windowed samples
BANDS_PER_PRODUCT = 16  # filters multiplied at once, over the bins that they cover; measured


def mel_power(signal: Tensor, settings: Features) -> Tensor:
    """Energy in each mel band: mel[t, m] = Σ_k |Σ_n w[n] x[t·hop + n] e^(-2πikn/N)|² F[k, m].

    w is the periodic Hann window centred in the N samples of a frame, F the triangular filters
    of the HTK mel scale, without area normalisation: the values of torchaudio's MelSpectrogram
    with `center=False`.

    Args:
        signal: (samples,) float32 at 16 kHz, full scale ±1.
        settings: window, hop and band.

    Returns:
        (frames, mels) float32.

    Raises:
        LaspaError: a signal shorter than one frame, or bands narrower than the transform resolves.
    """
    _, hop, size = framing(settings)
    refuse_short(len(signal), size)
    window, groups = _window_and_filters(settings)
    frames = signal.unfold(0, size, hop)
    mel = torch.empty(len(frames), settings.num_mels)
    for block, out in zip(frames.split(BLOCK_FRAMES), mel.split(BLOCK_FRAMES), strict=True):
        spectrum = torch.view_as_real(torch.fft.rfft(block * window))
        # |z|² and the sum over bins in one product: real and imaginary parts share a filter.
        power = spectrum.square_().flatten(start_dim=1)
        for bands, bins, filters in groups:
            torch.mm(power[:, bins], filters, out=out[:, bands])
    return mel


def log_mel(signal: np.ndarray, settings: Features) -> np.ndarray:
    """Natural logarithm of `mel_power`, floored, minus each band's mean over the utterance.

    For the kind kaldi it is `laspa.features.kaldi.log_fbank`, for those of other toolkits `CentredBank`.

    Args:
        signal: (samples,) float32 at 16 kHz, full scale ±1.
        settings: window, hop and band.

    Returns:
        (frames, mels) float16.

    Raises:
        LaspaError: as `mel_power`, and a signal with NaN or infinite samples.
    """
    if settings.kind == "kaldi":
        return log_fbank(signal, settings)
    if settings.kind in CENTRED:
        refuse_short(len(signal), framing(settings)[0])
        if not np.isfinite(signal).all():
            raise not_finite(signal)
        samples = torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32))
        return _centred_bank(settings)(samples[None])[0].half().numpy()
    mel = mel_power(torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32)), settings)
    mel = mel.clamp_(min=LOG_FLOOR).log_()
    mean = mel.mean(dim=0)
    if not bool(torch.isfinite(mean).all()):  # one bad sample is in every band's mean
        raise not_finite(signal)
    return (mel - mean).half().numpy()


@lru_cache(maxsize=8)
def _centred_bank(settings: Features) -> CentredBank:
    return CentredBank(settings)


@lru_cache(maxsize=8)
def _window_and_filters(settings: Features) -> tuple[Tensor, list[tuple[slice, slice, Tensor]]]:
    """The window, zero-padded to a frame, and the filters in groups of neighbouring bands.

    A group is (bands, bins, filters): `filters` has a row for each real and each imaginary part from
    the lowest to the highest bin of its bands. All bands over all bins would mostly multiply by zero.
    """
    length, _, size = framing(settings)
    left = (size - length) // 2
    window = torch.nn.functional.pad(torch.hann_window(length), (left, size - length - left))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio warns of empty filters; here they are an error
        filters = melscale_fbanks(
            size // 2 + 1,
            settings.low_hz,
            settings.high_hz,
            settings.num_mels,
            SAMPLE_RATE,
            norm=None,
            mel_scale="htk",
        )
    empty = int((filters.sum(dim=0) == 0).sum())
    if empty:
        raise LaspaError(
            f"params.yaml: features.num_mels is {settings.num_mels} but {empty} of these bands between "
            f"{settings.low_hz:g} and {settings.high_hz:g} Hz hold no frequency of a {size}-point transform "
            f"({SAMPLE_RATE / size:g} Hz apart); use fewer bands or a longer features.window_ms"
        )
    filters = filters.repeat_interleave(2, dim=0)
    groups = []
    for start in range(0, settings.num_mels, BANDS_PER_PRODUCT):
        bands = slice(start, min(start + BANDS_PER_PRODUCT, settings.num_mels))
        held = filters[:, bands].any(dim=1).nonzero().flatten()
        bins = slice(int(held[0]), int(held[-1]) + 1)
        groups.append((bands, bins, filters[bins, bands].contiguous()))
    return window, groups
