"""Kaldi's filter banks: the input of most public recognisers. numpy and scipy only."""

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.sparse

from laspa.audio.reading import SAMPLE_RATE
from laspa.features.settings import PREEMPHASIS, framing, log_floor, not_finite, refuse_empty, refuse_short
from laspa.params import Features

BLOCK_FRAMES = 256  # half a megabyte of windowed samples, which stays in a processor's cache; measured
POVEY_POWER = 0.85  # of a Hann window: kaldi's default window


def fbank(signal: np.ndarray, settings: Features) -> np.ndarray:
    """Kaldi's log energies of mel bands, as `compute-fbank-feats --dither=0` writes them.

    A frame loses its mean, is pre-emphasised (x[n] − 0.97·x[n−1], the sample before the first taken equal to
    it), windowed and padded with zeros at its end. Filters are triangles on the scale 1127·ln(1 + f/700), of
    height 1, linear in mel. Energies are floored at the float's epsilon. Frames lie wholly inside the signal.

    Args:
        signal: (samples,) float32 at 16 kHz, full scale ±1.

    Returns:
        (frames, num_mels) float32, natural logarithms.

    Raises:
        LaspaError: a signal shorter than one frame, or bands narrower than the transform resolves.
    """
    length, hop, size = framing(settings)
    refuse_short(len(signal), length)
    window, filters = kaldi_window(settings), kaldi_filters(settings)
    # Taking the mean m away before pre-emphasis takes (1 − 0.97)·m away after it, so that the whole signal is
    # pre-emphasised at once. Only the first sample of a frame differs, as it has none before it.
    signal = np.ascontiguousarray(signal, dtype=np.float32)
    emphasised = signal - np.float32(PREEMPHASIS) * np.concatenate([signal[:1], signal[:-1]])
    raw, frames = (
        np.lib.stride_tricks.sliding_window_view(one, length)[::hop] for one in (signal, emphasised)
    )
    energies = np.empty((len(frames), settings.num_mels), dtype=np.float32)
    for start in range(0, len(frames), BLOCK_FRAMES):
        rows = slice(start, start + BLOCK_FRAMES)
        block = frames[rows].copy()
        block[:, 0] = np.float32(1 - PREEMPHASIS) * raw[rows, 0]
        block -= np.float32(1 - PREEMPHASIS) * raw[rows].mean(axis=1, keepdims=True)
        block *= window
        spectrum = scipy.fft.rfft(block, size, axis=1).view(np.float32)
        spectrum *= spectrum
        energies[rows] = (filters @ (spectrum[:, ::2] + spectrum[:, 1::2]).T).T
    return np.log(np.maximum(energies, np.float32(log_floor(settings))))


def log_fbank(signal: np.ndarray, settings: Features) -> np.ndarray:
    """`fbank` minus each band's mean over the utterance: (frames, num_mels) float16.

    Raises:
        LaspaError: as `fbank`, and a signal with NaN or infinite samples.
    """
    if not np.isfinite(signal).all():
        raise not_finite(signal)
    bands = fbank(signal, settings)
    return np.asarray(bands - bands.mean(axis=0), dtype=np.float16)


def kaldi_window(settings: Features) -> np.ndarray:
    """(samples of a window,) float32."""
    length, _, _ = framing(settings)
    wave = np.cos(2 * np.pi * np.arange(length) / (length - 1))
    povey = settings.kaldi_window == "povey"
    window = (0.5 - 0.5 * wave) ** POVEY_POWER if povey else 0.54 - 0.46 * wave
    return np.asarray(window, dtype=np.float32)


@lru_cache(maxsize=8)
def kaldi_filters(settings: Features) -> scipy.sparse.csr_array:
    """(num_mels, bins): mostly zeros. Kaldi gives the bin at half the sample rate no weight."""
    _, _, size = framing(settings)

    def to_mel(hz: np.ndarray | float) -> np.ndarray:
        return np.asarray(1127 * np.log1p(np.asarray(hz) / 700))

    edges = np.linspace(to_mel(settings.low_hz), to_mel(settings.high_hz), settings.num_mels + 2)[:, None]
    bins = to_mel(np.arange(size // 2 + 1) * SAMPLE_RATE / size)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(min=0)
    triangles[:, -1] = 0
    refuse_empty(triangles, settings)
    return scipy.sparse.csr_array(triangles.astype(np.float32))
