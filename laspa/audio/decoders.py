"""Decoders of what libsndfile does not read: AAC in MP4 (m4a) by PyAV, G.722 by the package G722.

Both are extras, `pip install laspa[codecs]`: only VoxCeleb2 and Asterisk's prompts need them.
"""

import io
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from laspa.errors import LaspaError


class MissingDecoder(LaspaError):
    """The recording may be sound, but its decoder is not installed."""


G722_RATE, G722_BITS_PER_SECOND = 16_000, 64_000  # mode 1 of ITU-T G.722, as Asterisk and SIP use it
G722_BLOCK = 80_000  # bytes decoded at a time: ten seconds


def decode_av(path: Path | str, content: bytes) -> tuple[np.ndarray, int]:
    """The first audio stream of a container → (samples, channels) float32 in [-1, 1], and its rate.

    Raises:
        MissingDecoder: PyAV is not installed.
        LaspaError: it cannot decode `content`.
    """
    rate, blocks = _stream_av(path, io.BytesIO(content))
    return np.concatenate(list(blocks)), rate


def _stream_av(path: Path | str, content: BinaryIO) -> tuple[int, Iterator[np.ndarray]]:
    try:
        import av
    except ImportError:
        raise MissingDecoder(_missing(path, "PyAV")) from None
    try:
        container = av.open(content, mode="r")
    except av.FFmpegError as error:
        raise LaspaError(f"{path}: cannot be decoded ({error.strerror})") from None
    if not container.streams.audio:
        raise LaspaError(f"{path}: cannot be decoded (it has no sound)")
    stream = container.streams.audio[0]

    def blocks() -> Iterator[np.ndarray]:
        as_planes = av.AudioResampler(format="fltp")
        empty = True
        with content, container:
            try:
                for frame in chain(container.decode(stream), [None]):
                    for piece in as_planes.resample(frame):
                        empty = False
                        yield piece.to_ndarray().T
            except av.FFmpegError as error:
                raise LaspaError(f"{path}: cannot be decoded ({error.strerror})") from None
        if empty:
            raise LaspaError(f"{path}: cannot be decoded (it has no sound)")

    return int(stream.rate), blocks()


def decode_g722(path: Path | str, content: bytes) -> tuple[np.ndarray, int]:
    """G.722 without a header, 64 kbit/s → (samples, 1) float32 in [-1, 1], and 16 kHz.

    Raises:
        MissingDecoder: the package G722 is not installed.
    """
    rate, blocks = _stream_g722(path, io.BytesIO(content))
    return np.concatenate([np.empty((0, 1), dtype=np.float32), *blocks]), rate


def _stream_g722(path: Path | str, content: BinaryIO) -> tuple[int, Iterator[np.ndarray]]:
    try:
        from G722 import G722
    except ImportError:
        raise MissingDecoder(_missing(path, "G722")) from None
    decoder = G722(G722_RATE, G722_BITS_PER_SECOND)

    def blocks() -> Iterator[np.ndarray]:
        with content:
            while encoded := content.read(G722_BLOCK):
                samples = np.asarray(decoder.decode(encoded), dtype=np.int16)
                yield samples[:, None].astype(np.float32) / 32768

    return G722_RATE, blocks()


def stream_other(path: Path | str) -> tuple[int, Iterator[np.ndarray]]:
    """A file that libsndfile does not read: its rate and (samples, channels) float32 blocks, one by one.

    Raises:
        as the decoders of whole files.
    """
    stream = _stream_g722 if Path(path).suffix.lower() == ".g722" else _stream_av
    return stream(path, open(path, "rb"))


def _missing(path: Path | str, package: str) -> str:
    return f"{path}: needs {package} to be decoded; pip install 'laspa[codecs]'"


DECODERS: dict[str, Callable[[Path | str, bytes], tuple[np.ndarray, int]]] = {
    ".m4a": decode_av,
    ".mp4": decode_av,
    ".aac": decode_av,
    ".g722": decode_g722,
}
