"""Pieces of large files, read in place: memory holds what is asked for, the page cache what fits."""

import errno
import os
import time
from collections import OrderedDict
from operator import itemgetter
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import PATIENCE_SECONDS, RETRY_SECONDS

OPEN_FILES = 512  # that one process keeps open: half of what a system allows by default
NO_WAIT = getattr(os, "RWF_NOWAIT", 0)  # Linux: read what is in the page cache, or nothing
REMEDY = "run dvc repro features, then start again"

State = tuple[int, int]  # size and time of the last change, in ns
Piece = tuple[int, int, memoryview]  # number of the file, place in it, and the bytes to fill


def state_of(descriptor: int) -> State:
    """The state of an open file."""
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns


class Pieces:
    """Files and their states; a file in another state is refused when it is opened."""

    def __init__(self, files: list[tuple[Path, State]]) -> None:
        self._files = files
        self._open: OrderedDict[int, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: another process opens its own."""
        return {"_files": self._files, "_open": OrderedDict()}

    def __del__(self) -> None:
        self._close()

    def read(self, pieces: list[Piece]) -> None:
        """Fill the buffers. A read that fails is tried again for `PATIENCE_SECONDS`.

        Raises:
            LaspaError: a file that cannot be read, has changed or was truncated; the message names it.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                missing = self._not_in_cache(pieces)
                for file, place, buffer in missing if hasattr(os, "posix_fadvise") else ():
                    # All at once: a disk answers many small reads better than one after the other.
                    begin = self._descriptor(file), place, len(buffer)
                    os.posix_fadvise(*begin, os.POSIX_FADV_WILLNEED)
                for file, place, buffer in missing:
                    if os.preadv(self._descriptor(file), [buffer], place) != len(buffer):
                        raise LaspaError(f"{self._files[file][0]}: was truncated while in use; {REMEDY}")
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    path = error.filename or self._files[file][0]
                    raise LaspaError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
                self._close()
                time.sleep(RETRY_SECONDS)

    def _not_in_cache(self, pieces: list[Piece]) -> list[Piece]:
        """Read the pieces that the page cache has whole; the others, in the order of their places."""
        missing, read, opened = [], os.preadv, self._open
        for piece in pieces:  # one loop without a call of our own: a warm epoch spends its time here
            file, place, buffer = piece
            try:
                descriptor = opened.get(file) or self._descriptor(file)
                if read(descriptor, (buffer,), place, NO_WAIT) == len(buffer):
                    continue
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:  # of a file system that cannot tell
                    raise
            missing.append(piece)
        return sorted(missing, key=itemgetter(0, 1))

    def _descriptor(self, file: int) -> int:
        if (known := self._open.get(file)) is not None:
            return known
        path, state = self._files[file]
        descriptor = self._open[file] = os.open(path, os.O_RDONLY)
        if state_of(descriptor) != state:
            self._close()
            raise LaspaError(f"{path}: has changed while in use; {REMEDY}")
        if len(self._open) > OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def _close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
