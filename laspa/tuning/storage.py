"""Where a sweep keeps what every node must find, and where it reads from: a folder, or a URI of pyarrow's."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pyarrow import fs

from laspa.errors import LaspaError
from laspa.files import atomic_path, require_room
from laspa.redaction import address_without_credentials

LOCAL = fs.LocalFileSystem()
PROBE = b"laspa"
READ = ("manifest.parquet", "trials/dev.parquet", "features")  # of tune.data; the test split is not


class Storage:
    """A folder of training states. At a URI the sweep's own files and results are kept beside them, so that
    another machine can resume the sweep when the driver is lost.

    Raises:
        LaspaError: a place that cannot be written and read; the message names it and the reason.
    """

    def __init__(self, place: str) -> None:
        self.place, self._is_uri = place, "://" in place
        try:
            self._system, self._root = _opened(place)
            self._system.create_dir(self._root, recursive=True)
            probe = f"{self._root}/.probe"
            with self._system.open_output_stream(probe) as out:
                out.write(PROBE)
            with self._system.open_input_stream(probe) as back:
                if back.read() != PROBE:
                    raise OSError("what is written there is not what is read back")
            self._system.delete_file(probe)
        except (OSError, ValueError) as error:
            remedy = "name a folder or a URI that this machine and all nodes can write"
            raise storage_error("tune.storage", place, f"used ({error})", remedy) from None

    def check_room(self, trials: int, size: int) -> None:
        """Check that a folder has room for the states of `trials` trials, of about `size` bytes each.

        Raises:
            LaspaError: too little room. That of an object store is not known, so it is not checked.
        """
        if isinstance(self._system, fs.LocalFileSystem):
            require_room(
                Path(self._root),
                trials * size,
                f"params.yaml: tune.storage is {self.place!r}: the states of {trials} trials",
                "make room, lower tune.trials or name a folder on a larger disk",
            )

    @contextmanager
    def states(self, key: str) -> Iterator[tuple[Path, Callable[[], None]]]:
        """A local folder for the states of the trial `key`, and what to call after each epoch to keep them.

        A folder of this machine is used directly; from and to a URI the states are copied.
        """
        if isinstance(self._system, fs.LocalFileSystem):
            yield Path(self._root), lambda: None
            return
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / f"{key}.safetensors"
            _download(self._system, self._state(key), local)
            yield Path(folder), lambda: self._upload(local, self._state(key))

    def upload(self, file: Path, name: str) -> None:
        """Copy a local file to `name`; nothing to do where the storage is a folder."""
        if self._is_uri:
            target = f"{self._root}/{name}"
            self._system.create_dir(target.rpartition("/")[0], recursive=True)
            self._upload(file, target)

    def download(self, name: str, folder: Path) -> None:
        """Copy what was uploaded under the folder `name` into a local folder that does not exist yet."""
        if self._is_uri and not folder.exists():
            _download(self._system, f"{self._root}/{name}", folder)

    def delete(self, name: str, keys: list[str]) -> None:
        """Delete what was uploaded under the folder `name` and the states of these trials, nothing else."""
        for file in map(self._state, keys):
            if self._system.get_file_info(file).type == fs.FileType.File:
                self._system.delete_file(file)
        # Last: its files name the states, to a machine that goes on where this one was lost.
        source = f"{self._root}/{name}"
        if self._is_uri and self._system.get_file_info(source).type == fs.FileType.Directory:
            self._system.delete_dir(source)

    def _state(self, key: str) -> str:
        return f"{self._root}/{key}.safetensors"

    def _upload(self, file: Path, target: str) -> None:
        if isinstance(self._system, fs.LocalFileSystem):  # an object store takes a file whole by itself
            with atomic_path(target) as temporary:
                shutil.copyfile(file, temporary)
            return
        fs.copy_files(str(file), target, source_filesystem=LOCAL, destination_filesystem=self._system)


def fetch(place: str, target: Path) -> None:
    """Copy a file, or all of a folder, from a URI to a local path, whole or not at all.

    Where nothing is at the URI, nothing is copied.

    Raises:
        OSError, ValueError: a place that cannot be read.
    """
    _download(*_opened(place), target)


def tables(place: str, names: tuple[str, ...], copies: Path) -> Path:
    """A local folder with the tables `names` of the data folder `place`.

    From a URI they are copied into a folder under `copies` once; others on this machine wait for that.

    Raises:
        LaspaError: a URI that cannot be read, or where one of them is missing.
    """
    if "://" not in place:
        return Path(place)
    folder = copies / hashlib.sha256(place.encode()).hexdigest()[:16]
    remedy = "name the data folder of a pipeline that has run, or a URI that it was copied to"
    copies.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        for name in names:
            target = folder / name
            try:
                if not target.exists():
                    fetch(f"{place.rstrip('/')}/{name}", target)
                target.stat()
            except FileNotFoundError:
                raise storage_error("tune.data", place, f"read (there is no {name})", remedy) from None
            except (OSError, ValueError) as error:
                raise storage_error("tune.data", place, f"read ({error})", remedy) from None
    return folder


def storage_error(setting: str, place: str, cannot_be: str, remedy: str) -> LaspaError:
    """What is wrong with a place of params.yaml, without what may be secret in it."""
    shown, credentials = place, ""
    if "://" in place:
        shown = address_without_credentials(place)
        credentials = "; its credentials come from the environment (AWS_ACCESS_KEY_ID, …)"
    why = " ".join(cannot_be.split()).replace(place, shown)
    return LaspaError(f"params.yaml: {setting} is {shown!r}, which cannot be {why}; {remedy}{credentials}")


def _opened(place: str) -> tuple[fs.FileSystem, str]:
    if "://" in place:
        system, root = fs.FileSystem.from_uri(place)
        return system, root
    return LOCAL, str(Path(place).resolve())


def _download(system: fs.FileSystem, source: str, target: Path) -> None:
    kind = system.get_file_info(source).type
    if kind == fs.FileType.NotFound:
        return
    with atomic_path(target) as temporary:
        if kind == fs.FileType.Directory:
            temporary.mkdir()
        fs.copy_files(source, str(temporary), source_filesystem=system, destination_filesystem=LOCAL)
