"""Fetching a corpus's files: many at a time, disk space first, each checked by its checksum and pinned."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from laspa.corpora.download.transfer import Interrupted, Patience, Refused, Stopped, Transfer
from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from laspa.params.sections import Download
from laspa.progress import ByteProgress, in_bytes
from laspa.redaction import address_without_credentials

CHECKSUMS = (
    "checksums.json"  # at the project's root, in git: what was fetched once is what is fetched ever after
)
SPARE_BYTES = 256 * 2**20  # of the disk that a download leaves free
DAMAGED_TRIES = 2  # downloads from one address whose checksum may be wrong before the next address


Where = Literal["missing", "here", "unpacked"]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a corpus, and what is known about it before it is fetched.

    Args:
        url: http or https.
        path: relative, where it goes under the corpus's downloads.
        size: bytes, where known.
        checksum: `sha256:…`, `md5:…`, or `git:…` (the SHA-1 of a git blob), where its publisher gives one.
        mirrors: other addresses of the same bytes, tried in this order.
        credentials: X, where the environment's X_USER and X_PASSWORD, or X_TOKEN, are asked for.
        pin: off for what its publisher writes anew at will: such a file is fetched once and kept.
    """

    url: str
    path: str
    size: int | None = None
    checksum: str = ""
    mirrors: tuple[str, ...] = ()
    credentials: str = ""
    pin: bool = True

    @property
    def address(self) -> str:
        """`url` without what may be secret in it; the file's pin stands under it."""
        return address_without_credentials(self.url)


@dataclass(frozen=True)
class FileState:
    """One row of a plan: bytes (None: unknown), what is on disk of it, and where its checksum is from."""

    file: RemoteFile
    size: int | None
    where: Where
    checksum: str


def plan(files: Sequence[RemoteFile], folder: Path, checksums: Path) -> list[FileState]:
    """What `fetch` would find; nothing is asked of the network."""
    pins = _read_pins(checksums)
    states = []
    for file in files:
        pin = pins.get(file.address, {})
        known = "unknown until first fetch" if file.pin else "none: it may change"
        if pin or file.checksum:
            known = "pinned" if pin else f"published ({file.checksum.partition(':')[0]})"
        where: Where = "here" if _is_here(folder / file.path, file, pin) else "missing"
        states.append(FileState(file, pin.get("size", file.size), where, known))
    return states


def fetch(
    files: Sequence[RemoteFile], folder: Path, checksums: Path, options: Download, what: str
) -> list[Path]:
    """Bring all `files` under `folder`, in their order; what is there already is not fetched again.

    A file is collected as `PATH.partial` and gets its name when its size and checksum are right: the
    pinned SHA-256, else the published checksum. Its SHA-256 is then pinned in `checksums`, if it was not.
    A killed run goes on from the parts that it had.

    Args:
        checksums: a JSON file, written whole and sorted; missing before the first fetch.
        what: the corpus's name, for messages and the bar.

    Raises:
        LaspaError: too little disk space, missing credentials, or a file that none of its addresses gives
            whole; the message says what each answered. Whole parts are kept.
    """
    pins = _read_pins(checksums)
    targets = [folder / file.path for file in files]
    missing = []
    for file, target in zip(files, targets, strict=True):
        if _is_here(target, file, pins.get(file.address, {})):
            continue
        if target.exists() and _accept_unpinned(target, file, pins, checksums):
            continue
        missing.append(file)
    if not missing:
        return targets
    folder.mkdir(parents=True, exist_ok=True)
    job = _Job(folder, checksums, options, what, pins, len(missing))
    job.reserve_known(missing)
    try:
        with ThreadPoolExecutor(min(options.parallel, len(missing))) as pool:
            futures = [pool.submit(job.fetch, file) for file in missing]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # all are there, or one failed, or Ctrl-C
                job.stop.set()
                for future in futures:
                    future.cancel()
    finally:
        job.bar.close()
    for future in futures:
        if not future.cancelled() and not isinstance(future.exception(), Stopped):
            future.result()
    return targets


class _Job:
    """What the downloads of one `fetch` share."""

    def __init__(
        self, folder: Path, checksums: Path, options: Download, what: str, pins: dict[str, Any], files: int
    ) -> None:
        self.folder, self.checksums, self.what, self.pins = folder, checksums, what, pins
        self.patience = Patience(options.retries, options.stall_seconds, options.wait_seconds)
        self.mirrors = options.mirrors
        self.connections = max(1, options.parallel // files)
        self.stop = threading.Event()
        self.bar = ByteProgress(0, f"fetch {what}")
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()

    def reserve_known(self, files: Sequence[RemoteFile]) -> None:
        """Look for room for all files of known size, before the first byte."""
        for file in files:
            size = self.pins.get(file.address, {}).get("size", file.size)
            if size is not None:
                self._known[file.path] = size
        self.bar.grow(sum(self._known.values()))
        self._check_room()

    def fetch(self, file: RemoteFile) -> None:
        """Try a file's addresses one after the other."""
        pin = self.pins.get(file.address, {})
        expected = f"sha256:{pin['sha256']}" if pin else file.checksum
        authorise = _authorisation(file.credentials)
        answers = []
        for url in (self._in_place_of(url) for url in (file.url, *file.mirrors)):
            # Credentials are for the first address alone.
            transfer = Transfer(
                url,
                self.folder / f"{file.path}.partial",
                self.patience,
                self.connections,
                sure=bool(expected),
                authorise=authorise if url == self._in_place_of(file.url) else None,
                on_bytes=self.bar.advance,
                on_size=lambda size: self._learn_size(file, size),
                stop=self.stop,
            )
            for _ in range(DAMAGED_TRIES):
                try:
                    transfer.run()
                    self._keep(file, transfer, expected)
                    return
                except _Damaged as error:
                    answers.append(f"  {address_without_credentials(url)}: {error}")
                except (Refused, Interrupted) as error:
                    answers.append(f"  {address_without_credentials(url)}: {error}{_hint(error, file)}")
                    break
        raise LaspaError(
            f"{self.what}: {file.path} could not be fetched:\n"
            + "\n".join(dict.fromkeys(answers))
            + "\nwhole parts are kept: run again to go on, or put the file at "
            f"{self.folder / file.path} by hand"
        )

    def _in_place_of(self, url: str) -> str:
        """The address that the params put in place of another."""
        for beginning, other in self.mirrors.items():
            if url.startswith(beginning):
                return other + url.removeprefix(beginning)
        return url

    def _keep(self, file: RemoteFile, transfer: Transfer, expected: str) -> None:
        """Check what came, pin it, and give it its name."""
        wanted = (expected.partition(":")[0] or "sha256", "sha256")
        digests = _digests(transfer.partial, set(wanted))
        size = transfer.partial.stat().st_size
        problem = ""
        if file.size is not None and size != file.size:
            problem = f"{size} bytes came, {file.size} were expected"
        elif expected and digests[wanted[0]] != expected.partition(":")[2]:
            where = self.checksums.name if file.address in self.pins else "its publisher"
            problem = f"{wanted[0]} {digests[wanted[0]]} is not that of {where}, {expected.partition(':')[2]}"
        if problem:
            transfer.discard()
            self.bar.advance(-size)
            raise _Damaged(problem)
        if file.pin:
            with self._lock:
                _pin(self.checksums, file, digests["sha256"], size)
        os.replace(transfer.partial, self.folder / file.path)

    def _learn_size(self, file: RemoteFile, size: int) -> None:
        with self._lock:
            before = self._known.get(file.path, 0)
            self._known[file.path] = size
        if size != before:
            self.bar.grow(size - before)
            self._check_room()

    def _check_room(self) -> None:
        left = self.bar.total - self.bar.done
        free = shutil.disk_usage(self.folder).free
        if left + SPARE_BYTES > free:
            raise LaspaError(
                f"{self.what}: {in_bytes(left)} are to be fetched, but {self.folder} has only "
                f"{in_bytes(free)} free ({in_bytes(SPARE_BYTES)} of it are left alone); make room, or set "
                "download.folder in params.yaml to a larger disk"
            )


class _Damaged(Exception):
    """Whole, but not what was expected."""


def _is_here(target: Path, file: RemoteFile, pin: dict[str, Any]) -> bool:
    """A file got its name after its checksum was right: its size is looked at, not every byte again."""
    if not file.pin:
        return target.is_file()
    return bool(pin) and target.is_file() and target.stat().st_size == pin["size"]


def _accept_unpinned(target: Path, file: RemoteFile, pins: dict[str, Any], checksums: Path) -> bool:
    """Whether a file that somebody put here is the one; then it is pinned."""
    if file.address in pins:  # of another size
        return False
    algorithm, _, wanted = file.checksum.partition(":")
    digests = _digests(target, {algorithm or "sha256", "sha256"})
    size = target.stat().st_size
    if (file.size is not None and size != file.size) or (algorithm and digests[algorithm] != wanted):
        return False
    pins[file.address] = _pin(checksums, file, digests["sha256"], size)
    return True


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Hexadecimal digests of a file's bytes, read once; `git` is the SHA-1 of a blob with its header."""
    hashes = {
        name: hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        if name == "git"
        else hashlib.new(name, usedforsecurity=False)
        for name in algorithms
    }
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            for each in hashes.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in hashes.items()}


def _read_pins(checksums: Path) -> dict[str, Any]:
    return read_json(checksums) if checksums.exists() else {}


def _pin(checksums: Path, file: RemoteFile, sha256: str, size: int) -> dict[str, Any]:
    """Write the pin of a file that has none; the address in it holds no secret."""
    pins = _read_pins(checksums)
    pin = {"sha256": sha256, "size": size}
    if pins.setdefault(file.address, pin) is pin:
        write_json(checksums, pins)
    return pin


def _authorisation(
    prefix: str,
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
    """Credentials out of the environment: X_TOKEN, or X_USER and X_PASSWORD."""
    if not prefix:
        return None
    token, user, password = (os.environ.get(f"{prefix}_{name}") for name in ("TOKEN", "USER", "PASSWORD"))
    if token:

        def bearer(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return bearer
    if user and password:
        return requests.auth.HTTPBasicAuth(user, password)
    raise LaspaError(
        f"credentials are needed: set {prefix}_USER and {prefix}_PASSWORD, or {prefix}_TOKEN, "
        "in the environment"
    )


def _hint(error: Exception, file: RemoteFile) -> str:
    if str(error)[:3] in ("401", "403") and file.credentials:
        return f" (are {file.credentials}_USER and {file.credentials}_PASSWORD, or _TOKEN, right?)"
    return ""
