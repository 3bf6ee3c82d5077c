"""Reading recordings: one channel, one rate, and a plain word for what is wrong with a file."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from laspa.codecs import DECODERS, MissingDecoder
from laspa.errors import LaspaError
from laspa.truncation import cut_short

SAMPLE_RATE = 16_000
FULL_SCALE = 1 - 2**-14  # peak amplitude at which a sample may have been clipped
SILENCE = 2**-14  # peak amplitude below which a recording is silent: two steps of 16 bits
READ = "WAV, FLAC, OGG, MP3, M4A and G.722"


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds, or why it cannot be used: `problem` is empty where it can.

    `clipped` is the share of samples at full scale.
    """

    sample_rate: int
    num_samples: int
    problem: str
    clipped: float = 0.0


def read_audio(path: Path | str, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """`(samples,)` float32 in [-1, 1] at `sample_rate`: channels averaged, other rates resampled.

    Raises:
        LaspaError: a file that is missing or cannot be decoded.
    """
    samples, rate = _decode(path)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="HQ")
    return samples


def check_audio(path: Path | str, content: bytes, min_seconds: float) -> AudioInfo:
    """Decode a file's `content` and say what is wrong with it, if anything.

    Raises:
        MissingDecoder: nothing may be wrong with the file, so that it is not to be skipped.
    """
    if not content:
        return AudioInfo(0, 0, "the file is empty")
    try:
        samples, rate = _decode(path, content)
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


def _decode(path: Path | str, content: bytes | None = None) -> tuple[np.ndarray, int]:
    """Mono float32 and its rate. Integers are read as such and scaled here: 2.5 times as fast on WAV."""
    if content is None and not Path(path).is_file():
        raise LaspaError(f"{path}: no such file")
    other = DECODERS.get(Path(path).suffix.lower())
    if other:
        channels, rate = other(path, Path(path).read_bytes() if content is None else content)
        return channels.mean(axis=1, dtype=np.float32), rate
    try:
        with soundfile.SoundFile(io.BytesIO(content) if content is not None else str(path)) as file:
            sixteen_bits = file.subtype == "PCM_16"
            samples = file.read(dtype="int16" if sixteen_bits else "float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise LaspaError(
            f"{path}: cannot be decoded ({reason}): damaged, cut short, or none of {READ}"
        ) from None
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    return (mono.astype(np.float32) / 32768 if sixteen_bits else mono.astype(np.float32)), rate
