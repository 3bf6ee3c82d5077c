"""Safe extraction: nothing outside the folder, no links, no devices, limits; the whole archive or nothing."""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from laspa.errors import LaspaError, one_line
from laspa.files import in_bytes, require_room
from laspa.progress import ByteProgress

# Our choice: the largest corpus of the field, VoxCeleb2, has 1.2 million files and some 250 GB as WAV.
MOST_FILES = 5_000_000
MOST_BYTES = 2 * 2**40
SPARE_BYTES = 256 * 2**20  # of the disk, left free by a download and an extraction
COPY_BYTES = 2**20
LONGEST_HEADER = 2**20  # bytes of a member's names and notes, which tarfile reads into memory
GZIP = b"\x1f\x8b"
MOST_LAYERS = 2  # of gzip around a tar: NISP's parts are a gzip of a gzip


class Limits(NamedTuple):
    """The most that an archive may hold."""

    files: int = MOST_FILES
    bytes: int = MOST_BYTES


class _TarInfo(tarfile.TarInfo):
    """A member of a tar; one whose header would fill the memory is refused."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        headers = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
        if self.type in headers and self.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {in_bytes(self.size)}")
        return super()._proc_member(tar)  # type: ignore[misc]


class _Member(NamedTuple):
    name: str
    size: int
    content: IO[bytes] | None  # None: a folder


def extract(sources: Sequence[Path], folder: Path, limits: Limits | None = None) -> None:
    """Unpack a tar (plain, or in one or two layers of gzip) or a zip into `folder`, or leave nothing.

    A `folder` that exists was unpacked before and stays as it is. Modes, owners and times are ignored.
    The leftovers of a killed run are removed.

    Args:
        sources: the archive, or the parts that it was split into, in their order.
        limits: an archive with more is taken for an attack or a mistake.

    Raises:
        LaspaError: a damaged or cut archive, a member outside the folder, a link, a device, more than
            the limits, or too little disk; the message names archive and member.
    """
    if folder.exists():
        return
    archive = str(sources[0]) if len(sources) == 1 else f"{sources[0]} to {sources[-1].suffix.lstrip('.')}"
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
    except Exception as error:  # parsers of damaged archives raise nearly everything
        if isinstance(error, LaspaError | OSError) and not isinstance(error, gzip.BadGzipFile):
            raise
        raise LaspaError(
            f"{archive}: damaged or cut off ({one_line(error)}); delete it and run again to fetch it anew"
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
                raise LaspaError(
                    f"{archive}: more than {limits.files} members, as no corpus has; check its source"
                )
            if member.content is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            require_room(
                folder, member.size, f"{archive}: {member.name}", "make room and run again", SPARE_BYTES
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            # A folder of our own, without links: the path cannot lead elsewhere.
            with open(target, "wb") as file:
                while chunk := member.content.read(COPY_BYTES):
                    written += len(chunk)
                    if written > limits.bytes:
                        most = in_bytes(limits.bytes)
                        raise LaspaError(f"{archive}: unpacks to more than {most}; check its source")
                    file.write(chunk)
            if target.stat().st_size != member.size:  # tarfile returns a short file without an error
                raise EOFError("the last file is cut off")
            bar.advance(joined.tell() - bar.done)
    finally:
        bar.close()


def _inside(name: str, archive: str) -> PurePosixPath:
    """The member's path; one that leads out of the folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name:
        raise LaspaError(f"{archive}: {name!r} lies outside the folder; do not use this archive")
    return path


def _tar_members(joined: "_Joined", archive: str) -> Iterator[_Member]:
    stream = _without_gzip(joined)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarInfo) as tar:
        for member in tar:
            if member.isdir():
                yield _Member(member.name, 0, None)
            elif member.isfile():
                yield _Member(member.name, member.size, tar.extractfile(member))
            else:
                raise _refused(archive, member.name, member.issym() or member.islnk())
    stream.read(COPY_BYTES)  # the padding after the last member, and gzip's own checksum


def _zip_members(joined: "_Joined", archive: str) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BufferedReader(joined)) as zipped:
        for member in zipped.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, kind == stat.S_IFLNK)
            if member.flag_bits & 1:
                raise LaspaError(f"{archive}: {member.filename!r} is encrypted; unpack it by hand")
            if member.is_dir():
                yield _Member(member.filename, 0, None)
                continue
            with zipped.open(member) as content:
                yield _Member(member.filename, member.file_size, content)


def _refused(archive: str, name: str, is_link: bool) -> LaspaError:
    what = "a link" if is_link else "neither file nor folder"
    return LaspaError(f"{archive}: {name!r} is {what}; do not use this archive")


def _without_gzip(joined: "_Joined") -> IO[bytes]:
    """The tar inside the layers of gzip."""
    stream: io.BufferedReader = io.BufferedReader(joined, COPY_BYTES)
    for _ in range(MOST_LAYERS):
        if stream.peek(len(GZIP))[: len(GZIP)] != GZIP:
            break
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream, mode="rb"), COPY_BYTES)
    return stream


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
