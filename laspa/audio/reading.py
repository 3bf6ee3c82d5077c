"""Reading recordings: one channel, one rate."""

from pathlib import Path

import numpy as np
import soxr

from laspa.audio.decoders import open_stream
from laspa.errors import LaspaError

SAMPLE_RATE = 16_000


def read_audio(path: Path | str) -> np.ndarray:
    """`(samples,)` float32 in [-1, 1] at SAMPLE_RATE: channels averaged, other rates resampled.

    Raises:
        LaspaError: a file that is missing or cannot be decoded.
    """
    channels, rate = decode(path)
    samples = mono(channels)
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")


def decode(path: Path | str, content: bytes | None = None) -> tuple[np.ndarray, int]:
    """A file, or its `content` → `(samples, channels)` float32 in [-1, 1], and their rate.

    Raises:
        MissingDecoder: its decoder is not installed.
        LaspaError: a file that is missing or cannot be decoded.
    """
    if content is None and not Path(path).is_file():
        raise LaspaError(f"{path}: no such file")
    rate, blocks = open_stream(path, content)
    found = list(blocks)
    if len(found) == 1:
        return found[0], rate
    return np.concatenate(found or [np.empty((0, 1), dtype=np.float32)]), rate


def mono(channels: np.ndarray) -> np.ndarray:
    """The mean of the channels, (samples,) float32."""
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
