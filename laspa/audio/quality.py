"""Whether a recording can be used, and if not, why."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from laspa.audio.decoders import MissingDecoder
from laspa.audio.lengths import cut_short, wrong_header
from laspa.audio.reading import decode, mono
from laspa.errors import LaspaError

FULL_SCALE = 1 - 2**-14  # peak amplitude at which a sample may have been clipped
SILENCE = 2**-14  # peak amplitude below which a recording is silent: two steps of 16 bits
# Of integers of 32 bits kept as floating point; the power of much more is infinite (our choice).
LOUDEST = 2.0**31
WRONG_HEADER = "a header that names another length than there is; all sound is read"
ALIKE = 0.9  # correlation from which on two channels count as one source (our choice)
QUIET = 1e-4  # of the loudest channel's energy: one below, −40 dB, cannot hold a second speaker (our choice)
CHANNELS_DIFFER = (
    "channels that differ and are averaged; if they hold two people, write each channel to a file of its own"
)


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds. `problem` says why it cannot be used, or is empty; `clipped` is the share of samples
    at full scale; `notes` are of WRONG_HEADER and CHANNELS_DIFFER."""

    sample_rate: int
    num_samples: int
    problem: str
    clipped: float = 0.0
    notes: tuple[str, ...] = ()


def check_audio(path: Path | str, content: bytes, min_seconds: float) -> AudioInfo:
    """Decode a file's `content` and say what is wrong with it, if anything.

    Raises:
        MissingDecoder: the file may be sound, so it must not be skipped.
    """
    if not content:
        return AudioInfo(0, 0, "the file is empty")
    try:
        channels, rate = decode(path, content)
    except MissingDecoder:
        raise
    except LaspaError as error:
        return AudioInfo(0, 0, cut_short(content) or str(error).removeprefix(f"{path}: "))
    samples = mono(channels)
    problem = cut_short(content) or _problem(samples, rate, min_seconds)
    if problem:
        return AudioInfo(rate, len(samples), problem)
    clipped = 0.0
    if max(samples.max(), -samples.min()) >= FULL_SCALE:
        clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    differ = channels.shape[1] > 1 and correlation([channels]) < ALIKE
    notes = [WRONG_HEADER] * wrong_header(content) + [CHANNELS_DIFFER] * differ
    return AudioInfo(rate, len(samples), "", clipped, tuple(notes))


def correlation(blocks: Iterable[np.ndarray]) -> float:
    """The lowest of the first channel that is not quiet with each other such channel; 1 if none can be told.

    Args:
        blocks: (samples, channels) each.
    """
    products: np.ndarray | float = 0.0
    for block in blocks:
        products = products + block.T.astype(np.float64) @ block
    products = np.asarray(products)
    energy = np.diag(products)
    if not np.isfinite(energy).all() or not energy.any():
        return 1.0  # not finite, or silent: said elsewhere, with the reason
    heard = np.flatnonzero(energy > QUIET * energy.max())
    return float((products[heard[0], heard] / np.sqrt(energy[heard[0]] * energy[heard])).min())


def _problem(samples: np.ndarray, rate: int, min_seconds: float) -> str:
    if len(samples) < min_seconds * rate:
        return f"{len(samples)} samples at {rate} Hz are shorter than manifest.min_seconds, {min_seconds:g} s"
    if not np.isfinite(samples).all():
        return "samples that are not finite"
    low, high = float(samples.min()), float(samples.max())
    if max(high, -low) > LOUDEST:
        return f"a sample of {max(high, -low):.3g}, where full scale is 1; it is damaged"
    if high - low < 2 * SILENCE:
        return "silent from end to end" + (f", at {low:.3g} throughout" if abs(low) >= SILENCE else "")
    return ""
