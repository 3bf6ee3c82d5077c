"""Fetching files: many at a time, disk space checked first, each checked by its checksum and pinned."""

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download.archives import SPARE_BYTES
from laspa.corpora.download.transfer import Authorise, Interrupted, Refused, Stopped, Transfer
from laspa.errors import LaspaError
from laspa.files import read_json, require_room, write_json
from laspa.params import Download
from laspa.progress import ByteProgress
from laspa.redaction import address_without_credentials

CHECKSUMS = "checksums.json"  # at the project's root, in git: later fetches must give the same bytes
DAMAGED_TRIES = 2  # downloads with a wrong checksum from one address, before the next address is tried


@dataclass(frozen=True)
class FileState:
    """One row of a plan: a file, its bytes (None: unknown), where it is, and the source of its checksum."""

    file: RemoteFile
    size: int | None
    where: Literal["missing", "here", "unpacked"]
    checksum: str


def plan(files: Sequence[RemoteFile], folder: Path, checksums: Path) -> list[FileState]:
    """What is known of each file, without using the network."""
    pins = _read_pins(checksums)
    states = []
    for file in files:
        pin = pins.get(file.address, {})
        known = "unknown until first fetch" if file.pin else "none: it may change"
        if pin or file.checksum:
            known = "pinned" if pin else f"published ({file.checksum.partition(':')[0]})"
        here = _is_here(folder / file.path, file, pin)
        states.append(FileState(file, pin.get("size", file.size), "here" if here else "missing", known))
    return states


def fetch(
    files: Sequence[RemoteFile], folder: Path, checksums: Path, options: Download, what: str
) -> list[Path]:
    """Bring all `files` under `folder`, in their order; a file that is there is not fetched again.

    A file is collected as `PATH.partial` and gets its name when its size and checksum are right: the
    pinned SHA-256, else the published checksum. Then its SHA-256 is pinned in `checksums`, if it was
    not. A killed run resumes from its finished parts.

    Args:
        checksums: a JSON file, written whole and sorted; missing before the first fetch.
        what: the corpus's name, for messages and the bar.

    Raises:
        LaspaError: too little disk space, missing credentials, or a file that no address gives whole;
            the message has each address's answer. Finished parts are kept.
    """
    job = _Job(folder, checksums, options, what)
    targets = [folder / file.path for file in files]
    missing = [file for file, target in zip(files, targets, strict=True) if not job.has(file, target)]
    if not missing:
        return targets
    folder.mkdir(parents=True, exist_ok=True)
    job.begin(missing)
    try:
        with ThreadPoolExecutor(min(options.parallel, len(missing))) as pool:
            futures = [pool.submit(job.fetch, file) for file in missing]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # all are done, or one failed, or Ctrl-C
                job.stop.set()
                for future in futures:
                    future.cancel()
    finally:
        job.bar.close()
    for future in futures:
        if not future.cancelled() and not isinstance(future.exception(), Stopped):
            future.result()
    return targets


class _Damaged(Exception):
    """A whole file that is not the expected one."""


class _Job:
    """What the downloads of one `fetch` share."""

    def __init__(self, folder: Path, checksums: Path, options: Download, what: str) -> None:
        self.folder, self.checksums, self.options, self.what = folder, checksums, options, what
        self.pins = _read_pins(checksums)
        self.stop = threading.Event()
        self._sizes: dict[str, int] = {}  # by path, as far as known
        self._lock = threading.Lock()

    def has(self, file: RemoteFile, target: Path) -> bool:
        """Whether the file is there; one that somebody put there is checked, and pinned if it is right."""
        if _is_here(target, file, self.pins.get(file.address, {})):
            return True
        if not target.exists() or file.address in self.pins:  # pinned: it has another size
            return False
        problem, sha256 = self._compare(target, file, file.checksum)
        if not problem:
            self._pin(file, sha256, target.stat().st_size)
        return not problem

    def begin(self, files: Sequence[RemoteFile]) -> None:
        """Before the first byte: check that there is room for all files of known size."""
        self.connections = max(1, self.options.parallel // len(files))
        sizes = {file.path: self.pins.get(file.address, {}).get("size", file.size) for file in files}
        self._sizes = {path: size for path, size in sizes.items() if size is not None}
        self.bar = ByteProgress(sum(self._sizes.values()), f"fetch {self.what}")
        self._require_room()

    def fetch(self, file: RemoteFile) -> None:
        """Try a file's addresses one after the other."""
        pin = self.pins.get(file.address)
        expected = f"sha256:{pin['sha256']}" if pin else file.checksum
        authorise = _authorisation(file.credentials)
        addresses = [self._mirrored(url) for url in (file.url, *file.mirrors)]
        answers = []
        for url in addresses:
            transfer = Transfer(
                url,
                self.folder / f"{file.path}.partial",
                self.options,
                self.connections,
                known_checksum=bool(expected),
                # Credentials are for the first address only.
                authorise=authorise if url == addresses[0] else None,
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
                    names = f"{file.credentials}_USER and {file.credentials}_PASSWORD, or _TOKEN"
                    denied = file.credentials and str(error)[:3] in ("401", "403")
                    hint = f" (are {names}, right?)" if denied else ""
                    answers.append(f"  {address_without_credentials(url)}: {error}{hint}")
                    break
        raise LaspaError(
            f"{self.what}: {file.path} could not be fetched:\n"
            + "\n".join(dict.fromkeys(answers))
            + "\nfinished parts are kept: run again to resume, or put the file at "
            f"{self.folder / file.path} by hand"
        )

    def _mirrored(self, url: str) -> str:
        """The address that download.mirrors gives in place of `url`."""
        for beginning, other in self.options.mirrors.items():
            if url.startswith(beginning):
                return other + url.removeprefix(beginning)
        return url

    def _keep(self, file: RemoteFile, transfer: Transfer, expected: str) -> None:
        """Check the bytes, pin them, and give the file its name."""
        size = transfer.partial.stat().st_size
        problem, sha256 = self._compare(transfer.partial, file, expected)
        if problem:
            transfer.discard()
            self.bar.advance(-size)
            raise _Damaged(problem)
        if file.pin:
            self._pin(file, sha256, size)
        os.replace(transfer.partial, self.folder / file.path)

    def _compare(self, path: Path, file: RemoteFile, expected: str) -> tuple[str, str]:
        """What is wrong with the bytes at `path` (or ""), and their SHA-256."""
        algorithm, _, wanted = expected.partition(":")
        size, digests = path.stat().st_size, _digests(path, {algorithm or "sha256", "sha256"})
        problem = ""
        if file.size is not None and size != file.size:
            problem = f"{size} bytes came, {file.size} were expected"
        elif expected and digests[algorithm] != wanted:
            where = self.checksums.name if file.address in self.pins else "its publisher"
            problem = f"{algorithm} {digests[algorithm]} is not that of {where}, {wanted}"
        return problem, digests["sha256"]

    def _pin(self, file: RemoteFile, sha256: str, size: int) -> None:
        """Write the pin of a file that has none."""
        with self._lock:
            pins = _read_pins(self.checksums)
            if file.address not in pins:
                pins[file.address] = {"sha256": sha256, "size": size}
                write_json(self.checksums, pins)

    def _learn_size(self, file: RemoteFile, size: int) -> None:
        with self._lock:
            before = self._sizes.get(file.path, 0)
            self._sizes[file.path] = size
        if size != before:
            self.bar.grow(size - before)
            self._require_room()

    def _require_room(self) -> None:
        remedy = "make room, or set download.folder in params.yaml to a larger disk"
        left = self.bar.total - self.bar.done
        require_room(self.folder, left, f"{self.what}: the download", remedy, SPARE_BYTES)


def _is_here(target: Path, file: RemoteFile, pin: dict[str, Any]) -> bool:
    """A file gets its name after its checksum was right: only its size is checked again."""
    return target.is_file() and (not file.pin or (bool(pin) and target.stat().st_size == pin["size"]))


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Hexadecimal digests of a file, read once; `git` is the SHA-1 of a blob with its header."""
    hashes = {
        name: hashlib.new("sha1" if name == "git" else name, usedforsecurity=False) for name in algorithms
    }
    if "git" in hashes:
        hashes["git"].update(f"blob {path.stat().st_size}\0".encode())
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            for each in hashes.values():
                each.update(chunk)
    return {name: each.hexdigest() for name, each in hashes.items()}


def _read_pins(checksums: Path) -> dict[str, Any]:
    return read_json(checksums) if checksums.exists() else {}


def _authorisation(prefix: str) -> Authorise | None:
    """Credentials from the environment: X_TOKEN, or X_USER and X_PASSWORD."""
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
