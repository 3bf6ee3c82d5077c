"""Log-mel spectrograms: the input of both encoders.

Their bytes do not depend on the processor: scipy's transform, its product of sparse matrices and numpy's
logarithm in single precision compute alike on every x86-64 machine with AVX2. torch's own transform, product
and logarithm are MKL's, which chooses its code by the maker and the age of the processor.
"""

import math
import warnings
from functools import lru_cache

import numpy as np
import torch
from scipy import fft
from scipy.sparse import csr_array

from laspa.features.kaldi import log_fbank
from laspa.features.mel_module import CentredBank, mel_filters
from laspa.features.settings import CENTRED, LOG_FLOOR, framing, not_finite, refuse_empty, refuse_short
from laspa.params import Features

BLOCK_FRAMES = 2048  # bounds the memory of long recordings: 4 MiB of windowed samples


def mel_power(signal: np.ndarray, settings: Features) -> np.ndarray:
    """Energy in each mel band: mel[t, m] = Σ_k |Σ_n w[n] x[t·hop + n] e^(-2πikn/N)|² F[m, k].

    w is the periodic Hann window centred in the N samples of a frame, F the triangular filters
    of the HTK mel scale, without area normalisation: the values of torchaudio's MelSpectrogram
    with `center=False`.

    Args:
        signal: (samples,) float32 at 16 kHz, full scale ±1.

    Returns:
        (frames, mels) float32.

    Raises:
        LaspaError: a signal shorter than one frame, or bands narrower than the transform resolves.
    """
    _, hop, size = framing(settings)
    refuse_short(len(signal), size)
    window, filters = _window_and_filters(settings)
    frames = torch.from_numpy(signal).unfold(0, size, hop)
    mel = np.empty((settings.num_mels, len(frames)), dtype=np.float32)
    for start in range(0, len(frames), BLOCK_FRAMES):
        # torch multiplies overlapping frames in half of numpy's time.
        spectrum = fft.rfft((frames[start : start + BLOCK_FRAMES] * window).numpy())
        power = np.square(spectrum.real.T)
        power += np.square(spectrum.imag.T)
        mel[:, start : start + BLOCK_FRAMES] = filters @ power
    return mel.T


def log_mel(signal: np.ndarray, settings: Features) -> np.ndarray:
    """Natural logarithm of `mel_power`, floored, minus each band's mean over the utterance.

    For the kind kaldi it is `laspa.features.kaldi.log_fbank`, for those of other toolkits `CentredBank`.

    Args:
        signal: (samples,) float32 at 16 kHz, full scale ±1.

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
    with np.errstate(invalid="ignore", over="ignore"):  # of samples that are refused below
        mel = np.maximum(mel_power(np.ascontiguousarray(signal, dtype=np.float32), settings), LOG_FLOOR)
        mel = np.log(mel, out=mel)
        mel -= mel.mean(axis=0)
    if not np.isfinite(mel[0]).all():  # one bad sample is in every band's mean
        raise not_finite(signal)
    return torch.from_numpy(mel).half().contiguous().numpy()  # numpy takes three times as long to round


_centred_bank = lru_cache(maxsize=8)(CentredBank)


@lru_cache(maxsize=8)
def _window_and_filters(settings: Features) -> tuple[torch.Tensor, csr_array]:
    """The window, zero-padded to a frame, (points,), and torchaudio's filters, (mels, bins), float32."""
    length, _, size = framing(settings)
    left = (size - length) // 2
    window = np.zeros(size, dtype=np.float32)
    window[left : left + length] = [0.5 - 0.5 * math.cos(2 * math.pi * n / length) for n in range(length)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio warns of empty filters; here they are an error
        filters = mel_filters(settings, size // 2 + 1).T.numpy()
    refuse_empty(filters, settings)
    return torch.from_numpy(window), csr_array(filters)
