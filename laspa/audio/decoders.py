"""Decoding block by block: libsndfile, then FFmpeg (PyAV) for what it does not read, and G.722.

Which one is asked follows from a file's content. PyAV and G722 are extras, `pip install laspa[codecs]`: M4A
as in VoxCeleb2, AMR, WebM, WMA, SPHERE packed by shorten, and Asterisk's prompts need them.
"""

import importlib
import io
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from laspa.audio.kinds import HEAD, HEADERLESS, IN_PLACE_OF_SOUND, first_bytes, has_mark, needs_ffmpeg
from laspa.audio.lengths import ReadInPart, with_all_sound
from laspa.errors import LaspaError, one_line


class MissingDecoder(LaspaError):
    """The recording may be sound, but its decoder is not installed."""


BLOCK_SECONDS = 10
BLOCK_SAMPLES = 2**22  # of all channels in a block, where a header names a huge rate or number of channels
RATES = (8_000, 192_000)  # Hz, telephone to studio: anything else is a damaged header (our choice)
READ = "WAV, FLAC, OGG, OPUS, MP3, M4A, AIFF, AU, SPHERE, AMR, WMA, WebM and G.722"
# FFmpeg guesses at anything, and its playlists would open other files: these kinds, and no other file.
FFMPEG_OPTIONS = {
    "format_whitelist": "aac,ac3,aiff,amr,ape,asf,au,avi,caf,flv,matroska,mov,mp3,mpegts,nistsphere,ogg,tta,"
    "w64,wav,wv",
    "protocol_whitelist": "",
}
UNKNOWN_FRAMES = 2**62  # a FLAC that was written as a stream does not say how long it is
G722_RATE, G722_BITS_PER_SECOND = 16_000, 64_000  # mode 1 of ITU-T G.722, as Asterisk and SIP use it
G722_BLOCK = 80_000  # bytes decoded at a time: ten seconds

Stream = tuple[int, Iterator[np.ndarray]]  # rate in Hz, (samples, channels) float32 blocks in [-1, 1]


def open_stream(path: Path | str, content: bytes | None = None) -> Stream:
    """A file, or its `content`: its rate and (samples, channels) float32 blocks in [-1, 1], one by one.

    Raises:
        MissingDecoder: its decoder is not installed.
        LaspaError: whatever its decoder says, at once or while blocks are read; or a rate outside RATES.
    """
    head = first_bytes(path) if content is None else content[:HEAD]
    problem: LaspaError | None = None
    for decoder in _decoders(path, head):
        try:
            rate, blocks = decoder(path, content)
            first = next(blocks, None)
        except ReadInPart:
            continue  # FFmpeg reads it whole; without it, that is said
        except Exception as error:  # decoders raise errors of many kinds, also of Python's own
            problem = problem or _cannot_be_decoded(path, error)
            continue
        if not RATES[0] <= rate <= RATES[1]:
            raise LaspaError(
                f"{path}: its header says {rate} Hz, which is not from {RATES[0]:,} to {RATES[1]:,}; "
                "convert it"
            )
        return rate, iter(()) if first is None else _guarded(path, chain([first], blocks))
    for mark, what in IN_PLACE_OF_SOUND.items():
        if head.lstrip().lower().startswith(mark):
            raise LaspaError(f"{path}: is {what}")
    assert problem is not None
    raise problem


def _decoders(path: Path | str, head: bytes) -> list[Callable[[Path | str, bytes | None], Stream]]:
    if Path(path).suffix.lower() == HEADERLESS and not has_mark(head):
        return [_g722]
    if needs_ffmpeg(head):
        return [_ffmpeg]
    # FFmpeg reads a cut FLAC without an error.
    return [_libsndfile] if head.startswith(b"fLaC") else [_libsndfile, _ffmpeg]


def _guarded(path: Path | str, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    try:
        yield from blocks
    except Exception as error:
        raise _cannot_be_decoded(path, error) from None


def _cannot_be_decoded(path: Path | str, error: Exception) -> LaspaError:
    if isinstance(error, LaspaError):
        return error
    said = getattr(error, "error_string", "") or getattr(error, "strerror", "") or str(error) or repr(error)
    reason = one_line(said).rstrip(".")
    if "does not exist" in reason:  # libsndfile's word for an MP3 without a frame
        reason = "Format not recognised"
    return LaspaError(f"{path}: cannot be decoded ({reason}): damaged, cut short, or none of {READ}")


class _Forward(soundfile.SoundFile):
    """Only read forward: soundfile seeks after each block otherwise, which breaks MP3, Vorbis, GSM."""

    def seekable(self) -> bool:
        return False


class Buffer(io.BytesIO):
    """Bytes for libsndfile, which damaged headers send before the start; that would print a traceback."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(max(0, offset) if whence == io.SEEK_SET else offset, whence)


def _libsndfile(path: Path | str, content: bytes | None) -> Stream:
    whole = with_all_sound(path, content)
    file = _Forward(str(path) if whole is None else Buffer(whole))
    size = max(1, min(BLOCK_SECONDS * file.samplerate, BLOCK_SAMPLES // max(1, file.channels)))
    integers = file.subtype == "PCM_16"  # scaled here, 2.5 times as fast as by libsndfile

    def blocks() -> Iterator[np.ndarray]:
        count = 0
        with file:
            while len(block := file.read(size, "int16" if integers else "float32", always_2d=True)):
                count += len(block)
                yield block.astype(np.float32) / 32768 if integers else block
        if file.format == "FLAC" and count < file.frames < UNKNOWN_FRAMES:
            raise RuntimeError(f"{count:,} of {file.frames:,} samples are there")

    return file.samplerate, blocks()


def _ffmpeg(path: Path | str, content: bytes | None) -> Stream:
    """The first audio stream of a container."""
    av = _package("av", "PyAV", path)
    file = open(path, "rb") if content is None else io.BytesIO(content)  # noqa: SIM115 (closed in blocks)
    container = av.open(file, mode="r", options=FFMPEG_OPTIONS)
    if not container.streams.audio:
        raise LaspaError(f"{path}: cannot be decoded (it has no sound)")
    stream = container.streams.audio[0]

    def blocks() -> Iterator[np.ndarray]:
        as_planes = av.AudioResampler(format="fltp")
        empty = True
        with file, container:
            for frame in chain(container.decode(stream), [None]):
                for piece in as_planes.resample(frame):
                    empty = False
                    yield piece.to_ndarray().T
        if empty:
            raise LaspaError(f"{path}: cannot be decoded (it has no sound)")

    return int(stream.rate), blocks()


def _g722(path: Path | str, content: bytes | None) -> Stream:
    """G.722 without a header, 64 kbit/s."""
    decoder = _package("G722", "G722", path).G722(G722_RATE, G722_BITS_PER_SECOND)
    file = open(path, "rb") if content is None else io.BytesIO(content)  # noqa: SIM115 (closed in blocks)

    def blocks() -> Iterator[np.ndarray]:
        with file:
            while encoded := file.read(G722_BLOCK):
                samples = np.asarray(decoder.decode(encoded), dtype=np.int16)
                yield samples[:, None].astype(np.float32) / 32768

    return G722_RATE, blocks()


def _package(module: str, name: str, path: Path | str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDecoder(f"{path}: needs {name} to be decoded; pip install 'laspa[codecs]'") from None
