"""Safe extraction: nothing outside the folder, no links, no devices, limits; all of it or nothing."""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple

from laspa.errors import LaspaError
from laspa.progress import ByteProgress, in_bytes

# Our choice: the largest corpus of the field, VoxCeleb2, has 1.2 million files and some 250 GB as WAV.
MOST_FILES = 5_000_000
MOST_BYTES = 2 * 2**40
SPARE_BYTES = 256 * 2**20  # of the disk that an extraction leaves free
COPY_BYTES = 2**20
GZIP = b"\x1f\x8b"
MOST_LAYERS = 2  # of gzip around a tar: NISP's parts are a gzip of a gzip


class Limits(NamedTuple):
    """Of all that an archive holds."""

    files: int = MOST_FILES
    bytes: int = MOST_BYTES


class _Member(NamedTuple):
    name: str
    size: int
    content: BinaryIO | None  # None: a folder


def extract(sources: Sequence[Path], folder: Path, limits: Limits | None = None) -> None:
    """Unpack a tar (plain, or in one or two layers of gzip) or a zip into `folder`, or leave nothing.

    A `folder` that is there was unpacked before and stays as it is. Modes, owners and times are not
    taken over. What a killed run left is removed by the next.

    Args:
        sources: the archive, or the parts that it was split in, in their order.
        limits: the most that is unpacked; more is taken for an attack or a mistake.

    Raises:
        LaspaError: a damaged or cut archive, a member outside the folder, a link, a device, too much
            of everything, or too little disk; the message names archive and member.
    """
    if folder.exists():
        return
    archive = _named(sources)
    unfinished = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with _Joined(sources) as joined:
            zipped = zipfile.is_zipfile(joined)
            joined.seek(0)
            members = _zip_members(joined, archive) if zipped else _tar_members(joined, archive)
            _write(members, joined, unfinished, archive, limits or Limits())
        os.replace(unfinished, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LaspaError(
            f"{archive}: damaged or cut off ({error}); delete it and run again to fetch it anew"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(members: Iterator[_Member], joined: "_Joined", folder: Path, archive: str, limits: Limits) -> None:
    written = 0
    bar = ByteProgress(joined.size, f"unpack {Path(archive).name}")
    try:
        for number, member in enumerate(members, start=1):
            target = folder / _inside(member.name, archive)
            if number > limits.files:
                raise LaspaError(f"{archive}: more than {limits.files} members; that is no corpus")
            if member.content is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            _check_room(member, folder, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A folder of our own, without links: the path cannot lead elsewhere.
            with open(target, "wb") as file:
                while chunk := member.content.read(COPY_BYTES):
                    written += len(chunk)
                    if written > limits.bytes:
                        raise LaspaError(f"{archive}: unpacks to more than {in_bytes(limits.bytes)}")
                    file.write(chunk)
            bar.advance(joined.tell() - bar.done)
    finally:
        bar.close()


def _check_room(member: _Member, folder: Path, archive: str) -> None:
    free = shutil.disk_usage(folder).free
    if member.size + SPARE_BYTES > free:
        raise LaspaError(
            f"{archive}: {member.name} has {in_bytes(member.size)}, but {folder.parent} only "
            f"{in_bytes(free)} free; make room and run again"
        )


def _inside(name: str, archive: str) -> PurePosixPath:
    """The member's path, which cannot leave the folder that it is put under."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name:
        raise LaspaError(f"{archive}: {name!r} lies outside the folder; do not use this archive")
    return path


def _tar_members(joined: "_Joined", archive: str) -> Iterator[_Member]:
    stream = _without_gzip(joined)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if member.isdir():
                yield _Member(member.name, 0, None)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                yield _Member(member.name, member.size, _Exactly(content, member.size))  # type: ignore[arg-type]
            else:
                what = "a link" if member.issym() or member.islnk() else "neither file nor folder"
                raise LaspaError(f"{archive}: {member.name!r} is {what}; do not use this archive")
    stream.read(COPY_BYTES)  # the padding after the last member, and with it gzip's own checksum


def _zip_members(joined: "_Joined", archive: str) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BufferedReader(joined)) as zipped:
        for member in zipped.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                what = "a link" if kind == stat.S_IFLNK else "neither file nor folder"
                raise LaspaError(f"{archive}: {member.filename!r} is {what}; do not use this archive")
            if member.flag_bits & 1:
                raise LaspaError(f"{archive}: {member.filename!r} is encrypted; unpack it by hand")
            if member.is_dir():
                yield _Member(member.filename, 0, None)
                continue
            with zipped.open(member) as content:
                yield _Member(member.filename, member.file_size, content)  # type: ignore[arg-type]


def _without_gzip(joined: "_Joined") -> BinaryIO:
    """The tar inside the layers of gzip."""
    stream: io.BufferedReader = io.BufferedReader(joined, COPY_BYTES)
    for _ in range(MOST_LAYERS):
        if stream.peek(len(GZIP))[: len(GZIP)] != GZIP:
            break
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream, mode="rb"), COPY_BYTES)
    return stream


def _named(sources: Sequence[Path]) -> str:
    """How messages call the archive."""
    return str(sources[0]) if len(sources) == 1 else f"{sources[0]} to {sources[-1].suffix.lstrip('.')}"


class _Exactly:
    """Reads a member and misses what is not there: tarfile gives a short file without a word."""

    def __init__(self, content: BinaryIO, size: int) -> None:
        self._content, self._left = content, size

    def read(self, count: int) -> bytes:
        chunk = self._content.read(count)
        self._left -= len(chunk)
        if not chunk and self._left:
            raise EOFError("the last file is cut off")
        return chunk


class _Joined(io.RawIOBase):
    """Several files read as one, with seeking (a zip begins at its end)."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [open(path, "rb", buffering=0) for path in paths]  # noqa: SIM115 (closed in close)
        self._sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._position = 0
        self.size = sum(self._sizes)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        start = 0
        for file, size in zip(self._files, self._sizes, strict=True):
            if self._position < start + size:
                file.seek(self._position - start)
                count = file.readinto(buffer)
                self._position += count
                return count
            start += size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
