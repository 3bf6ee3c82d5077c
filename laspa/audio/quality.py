"""Whether a recording can be used, and if not, why."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from laspa.audio.decoders import MissingDecoder
from laspa.audio.reading import decode
from laspa.audio.truncation import cut_short
from laspa.errors import LaspaError

FULL_SCALE = 1 - 2**-14  # peak amplitude at which a sample may have been clipped
SILENCE = 2**-14  # peak amplitude below which a recording is silent: two steps of 16 bits


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds. `problem` says why it cannot be used, or is empty; `clipped` is the share of samples
    at full scale."""

    sample_rate: int
    num_samples: int
    problem: str
    clipped: float = 0.0


def check_audio(path: Path | str, content: bytes, min_seconds: float) -> AudioInfo:
    """Decode a file's `content` and say what is wrong with it, if anything.

    Raises:
        MissingDecoder: the file may be sound, so it must not be skipped.
    """
    if not content:
        return AudioInfo(0, 0, "the file is empty")
    try:
        samples, rate = decode(path, content)
    except MissingDecoder:
        raise
    except LaspaError as error:
        return AudioInfo(0, 0, str(error).removeprefix(f"{path}: "))
    problem, clipped = "", 0.0
    if cut := cut_short(content):
        problem = cut
    elif len(samples) < min_seconds * rate:
        problem = (
            f"{len(samples)} samples at {rate} Hz are shorter than manifest.min_seconds, {min_seconds:g} s"
        )
    elif not np.isfinite(samples).all():
        problem = "samples that are not finite"
    else:
        peak = max(samples.max(), -samples.min())
        if peak < SILENCE:
            problem = "silent from end to end"
        elif peak >= FULL_SCALE:
            clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    return AudioInfo(rate, len(samples), problem, clipped)
