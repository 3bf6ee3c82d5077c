"""Recordings block by block, so that hours of sound need little memory: decoding, channels, one rate."""

import mmap
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import soxr

from laspa.audio.decoders import open_stream
from laspa.audio.lengths import cut_short, wrong_header
from laspa.audio.quality import ALIKE, WRONG_HEADER, correlation
from laspa.audio.reading import SAMPLE_RATE, mono
from laspa.errors import LaspaError

KEPT_SAMPLES = 2**24  # of all channels, five minutes at 48 kHz: decoded once; a longer recording in each pass
MOST_CHANNELS = 32  # of an array: one with more columns has most likely its axes swapped

Channel = int | Literal["mix"] | None


class Recording(NamedTuple):
    """Sound that can be read again and again: `blocks()` yields (samples, channels) float32 in [-1, 1]."""

    name: str
    rate: int
    blocks: Callable[[], Iterator[np.ndarray]]


def open_recording(path: Path | str) -> Recording:
    """A file, decoded block by block.

    Raises:
        MissingDecoder: its decoder is not installed.
        LaspaError: a file that is missing, empty, cut short, or cannot be decoded.
    """
    name = str(path)
    _refuse_incomplete(Path(path))
    rate, blocks = open_stream(path)
    kept: list[np.ndarray] = []
    samples = 0
    for block in blocks:
        kept.append(block)
        samples += block.size
        if samples > KEPT_SAMPLES:
            return Recording(name, rate, lambda: open_stream(path)[1])
    return Recording(name, rate, lambda: iter(kept))


def array_recording(samples: np.ndarray, sample_rate: int | None, name: str = "array") -> Recording:
    """Samples in memory: (samples,) or (samples, channels), floating point in [-1, 1] or 16-bit integers.

    Raises:
        LaspaError: another shape or type, or no sample rate.
    """
    values = np.asarray(samples)
    if sample_rate is None or sample_rate <= 0:
        raise LaspaError(f"{name}: sample_rate is {sample_rate}; say how many samples make a second")
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] > MOST_CHANNELS):
        raise LaspaError(f"{name}: of shape {values.shape}; give (samples,) or (samples, channels)")
    if values.dtype == np.int16:
        values = values.astype(np.float32) / 32768
    if not np.issubdtype(values.dtype, np.floating):
        raise LaspaError(f"{name}: of type {values.dtype}; give floating point in [-1, 1], or int16")
    columns = values.astype(np.float32, copy=False)
    columns = columns[:, None] if columns.ndim == 1 else columns
    return Recording(name, int(sample_rate), lambda: iter([columns]))


def mono_blocks(recording: Recording, channel: Channel = None) -> Callable[[], Iterator[np.ndarray]]:
    """Reads one channel at 16 kHz: (samples,) float32 blocks.

    Args:
        channel: counted from 1, or "mix", their mean. None takes the mean of channels that hold the same
            sound and refuses others, which may be two speakers.

    Raises:
        LaspaError: no such channel, or channels that differ and no choice.
    """
    first = next(recording.blocks(), None)
    channels = 1 if first is None else first.shape[1]
    if isinstance(channel, int) and not 1 <= channel <= channels:
        raise LaspaError(f"{recording.name}: --channel {channel}, but it has {channels} channel(s)")
    if channel is None and channels > 1 and (alike := correlation(recording.blocks())) < ALIKE:
        raise LaspaError(
            f"{recording.name}: its {channels} channels differ (correlation {alike:.2f}) and may hold two "
            f"speakers; choose one by --channel 1 to {channels}, or --channel mix for their mean"
        )

    def heard(block: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(block[:, channel - 1]) if isinstance(channel, int) else mono(block)

    def read() -> Iterator[np.ndarray]:
        chosen = map(heard, recording.blocks())
        return chosen if recording.rate == SAMPLE_RATE else _resampled(chosen, recording.rate)

    return read


def pieces(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The samples of blocks in pieces of `size`; the last may be shorter."""
    held: list[np.ndarray] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from joined[:whole].reshape(-1, size)
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


def _resampled(blocks: Iterator[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def _refuse_incomplete(path: Path) -> None:
    if not path.is_file():
        what = "is a folder, a recording was expected" if path.is_dir() else "no such file"
        raise LaspaError(f"{path}: {what}")
    if not path.stat().st_size:
        raise LaspaError(f"{path}: the file is empty")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if cut := cut_short(content):
            raise LaspaError(f"{path}: {cut}; copy or record it again")
        if wrong_header(content):
            warnings.warn(f"{path} has {WRONG_HEADER}", stacklevel=3)
