"""What a sweep keeps where every node finds it, and where it reads from: a folder, or a URI of pyarrow's."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from laspa.errors import LaspaError
from laspa.files import atomic_path, in_bytes
from laspa.redaction import address_without_credentials

PROBE = b"laspa"


class Storage:
    """A folder of training states; at a URI the sweep's journal and results are kept beside them.

    A node that drives a sweep may disappear like any other: with a URI the next one goes on.

    Raises:
        LaspaError: a place that cannot be written; the message names it and the reason.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            self._system, self._root = _opened(place)
            self._system.create_dir(self._root, recursive=True)
        except (OSError, ValueError) as error:
            raise _unusable(place, error) from None
        self._elsewhere = "://" in place

    def check(self) -> None:
        """Write, read and delete a small file."""
        probe = f"{self._root}/.probe"
        try:
            with self._system.open_output_stream(probe) as out:
                out.write(PROBE)
            with self._system.open_input_stream(probe) as back:
                whole = back.read() == PROBE
            self._system.delete_file(probe)
        except OSError as error:
            raise _unusable(self.place, error) from None
        if not whole:
            raise _unusable(self.place, "what is written there is not what is read back")

    def check_room(self, trials: int, size: int) -> None:
        """See that a folder has room for the states of so many trials, of about `size` bytes each.

        Raises:
            LaspaError: it has not; how much room an object store has nobody knows.
        """
        if not isinstance(self._system, fs.LocalFileSystem):
            return
        free = shutil.disk_usage(self._root).free
        if trials * size > free:
            raise LaspaError(
                f"params.yaml: tune.storage is {self.place!r}, which has {in_bytes(free)} free, but {trials} "
                f"trials keep about {in_bytes(trials * size)} there; make room, lower tune.trials or name a "
                "folder on a larger disk"
            )

    @contextmanager
    def states(self, key: str) -> Iterator[tuple[Path, Callable[[], None]]]:
        """A local folder for the states of the trial `key`, and what keeps them after each epoch.

        A folder of this machine is used as it is; else the states are copied, first from and then to it.
        """
        if isinstance(self._system, fs.LocalFileSystem):
            yield Path(self._root), lambda: None
            return
        remote = self._file(key)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / f"{key}.safetensors"
            if self._system.get_file_info(remote).type == fs.FileType.File:
                with atomic_path(local) as temporary:
                    self._copy(remote, self._system, str(temporary), fs.LocalFileSystem())
            yield Path(folder), lambda: self._copy(str(local), fs.LocalFileSystem(), remote, self._system)

    def send(self, file: Path, name: str) -> None:
        """Keep a copy of a local file under `name`; nothing to do where the storage is a folder."""
        if self._elsewhere:
            target = f"{self._root}/{name}"
            self._system.create_dir(target.rpartition("/")[0], recursive=True)
            self._copy(str(file), fs.LocalFileSystem(), target, self._system)

    def fetch(self, name: str, folder: Path) -> None:
        """Bring what was sent under the folder `name` into a local folder that is not there yet."""
        if self._elsewhere and not folder.exists():
            fetch(f"{self.place.rstrip('/')}/{name}", folder)

    def forget(self, name: str) -> None:
        """Delete what was sent under the folder `name`."""
        source = f"{self._root}/{name}"
        if self._elsewhere and self._system.get_file_info(source).type == fs.FileType.Directory:
            self._system.delete_dir(source)

    def remove(self, keys: list[str]) -> None:
        """Delete the states of these trials; what else lies there is not ours."""
        for key in keys:
            file = self._file(key)
            if self._system.get_file_info(file).type == fs.FileType.File:
                self._system.delete_file(file)

    def _file(self, key: str) -> str:
        return f"{self._root}/{key}.safetensors"

    @staticmethod
    def _copy(source: str, source_system: fs.FileSystem, target: str, target_system: fs.FileSystem) -> None:
        fs.copy_files(source, target, source_filesystem=source_system, destination_filesystem=target_system)


def fetch(place: str, target: Path) -> None:
    """Copy a file, or all of a folder, from a URI to a local path, whole or not at all.

    Nothing is copied where nothing lies.

    Raises:
        OSError, ValueError: a place that cannot be read.
    """
    system, root = _opened(place)
    kind = system.get_file_info(root).type
    if kind == fs.FileType.NotFound:
        return
    inside = [fs.FileSelector(root, recursive=True)] if kind == fs.FileType.Directory else []
    found = [one.path for selector in inside for one in system.get_file_info(selector) if one.is_file]
    with atomic_path(target) as temporary:
        for path in found or [root]:
            local = temporary / path.removeprefix(root).lstrip("/") if found else temporary
            local.parent.mkdir(parents=True, exist_ok=True)
            here = fs.LocalFileSystem()
            fs.copy_files(path, str(local), source_filesystem=system, destination_filesystem=here)


def _opened(place: str) -> tuple[fs.FileSystem, str]:
    if "://" in place:
        system, root = fs.FileSystem.from_uri(place)
        return system, root
    return fs.LocalFileSystem(), str(Path(place).resolve())


def in_words(place: str, why: object) -> tuple[str, str, str]:
    """A place without what may be secret, the reason without it too, and where credentials come from."""
    shown = address_without_credentials(place) if "://" in place else place
    reason = " ".join(str(why).split()).replace(place, shown)
    credentials = "; its credentials come from the environment (AWS_ACCESS_KEY_ID, …)"
    return shown, reason, credentials if "://" in place else ""


def _unusable(place: str, why: object) -> LaspaError:
    shown, reason, credentials = in_words(place, why)
    return LaspaError(
        f"params.yaml: tune.storage is {shown!r}, which cannot be used ({reason}); name a folder or a "
        f"URI that this machine and all nodes can write{credentials}"
    )
