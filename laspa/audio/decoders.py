"""Decoders of what libsndfile does not read: AAC in MP4 (m4a) by PyAV, G.722 by the package G722.

Both are extras, `pip install laspa[codecs]`: only VoxCeleb2 and Asterisk's prompts need them.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from laspa.errors import LaspaError


class MissingDecoder(LaspaError):
    """The recording may be sound, but its decoder is not installed."""


G722_RATE, G722_BITS_PER_SECOND = 16_000, 64_000  # mode 1 of ITU-T G.722, as Asterisk and SIP use it


def decode_av(path: Path | str, content: bytes) -> tuple[np.ndarray, int]:
    """The first audio stream of a container → (samples, channels) float32 in [-1, 1], and its rate.

    Raises:
        MissingDecoder: PyAV is not installed.
        LaspaError: it cannot decode `content`.
    """
    try:
        import av
    except ImportError:
        raise MissingDecoder(_missing(path, "PyAV")) from None
    try:
        with av.open(io.BytesIO(content), mode="r") as container:
            if not container.streams.audio:
                raise LaspaError(f"{path}: cannot be decoded (it has no sound)")
            stream = container.streams.audio[0]
            as_planes = av.AudioResampler(format="fltp")
            frames = [frame for packet in container.decode(stream) for frame in as_planes.resample(packet)]
            blocks = [frame.to_ndarray() for frame in frames + as_planes.resample(None)]
            rate = int(stream.rate)
    except av.FFmpegError as error:
        raise LaspaError(f"{path}: cannot be decoded ({error.strerror})") from None
    if not blocks:
        raise LaspaError(f"{path}: cannot be decoded (it has no sound)")
    return np.concatenate(blocks, axis=1).T, rate


def decode_g722(path: Path | str, content: bytes) -> tuple[np.ndarray, int]:
    """G.722 without a header, 64 kbit/s → (samples, 1) float32 in [-1, 1], and 16 kHz.

    Raises:
        MissingDecoder: the package G722 is not installed.
    """
    try:
        from G722 import G722
    except ImportError:
        raise MissingDecoder(_missing(path, "G722")) from None
    samples = np.asarray(G722(G722_RATE, G722_BITS_PER_SECOND).decode(content), dtype=np.int16)
    return samples[:, None].astype(np.float32) / 32768, G722_RATE


def _missing(path: Path | str, package: str) -> str:
    return f"{path}: needs {package} to be decoded; pip install 'laspa[codecs]'"


DECODERS: dict[str, Callable[[Path | str, bytes], tuple[np.ndarray, int]]] = {
    ".m4a": decode_av,
    ".mp4": decode_av,
    ".aac": decode_av,
    ".g722": decode_g722,
}
