"""One file over HTTP: in parts by range requests, resumed, retried, checked by length. Never half-written."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from laspa.files import read_json, write_json
from laspa.redaction import address_without_credentials

T = TypeVar("T")

PART_BYTES = 16 * 2**20  # of one request: what a killed run fetches again, at most, for each connection
CHUNK_BYTES = 64 * 2**10
LONGEST_WAIT = 60.0  # seconds between two tries, unless the server asks for more
LONGEST_OBEYED = 300.0  # seconds that a server may ask for (Retry-After)
PASSING = {408, 425, 429}  # beside 5xx: statuses that another try may cure (RFC 9110, RFC 6585)
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Interrupted(Exception):
    """Something that another try may cure; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Refused(Exception):
    """Something that no other try at this address will cure."""


class Stopped(Exception):
    """Another thread failed, or the user pressed Ctrl-C."""


@dataclass(frozen=True)
class Patience:
    """How to bear a bad network.

    Args:
        retries: tries without a new byte, in a row, before an address is given up.
        stall_seconds: without a byte, before a connection is given up.
        wait_seconds: before the first retry; doubles with each.
    """

    retries: int
    stall_seconds: float
    wait_seconds: float


@dataclass(frozen=True)
class Remote:
    """What a server says about a file: bytes (None: unknown), whether it serves ranges, which version."""

    size: int | None
    ranges: bool
    version: str


def _nothing(_: int) -> None:
    """Takes no notice."""


@dataclass
class Transfer:
    """The download of one file from one address; `run` does it.

    Args:
        url: http or https.
        partial: where the bytes are collected; `partial`.json beside it says which parts are there.
        patience: retries, stalls and waits.
        connections: parts at a time.
        sure: whether the file's checksum is known, so that parts of another address may be gone on with.
        authorise: adds credentials to a request; a redirect to another host loses them.
        on_bytes: told of bytes as they come, with a negative number of those that are given up.
        on_size: told the size, before a byte is written.
        stop: ends the download at the next chunk when set.
    """

    url: str
    partial: Path
    patience: Patience
    connections: int = 1
    sure: bool = False
    authorise: Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None
    on_bytes: Callable[[int], None] = _nothing
    on_size: Callable[[int], None] = _nothing
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._state = self.partial.with_name(f"{self.partial.name}.json")
        self._session = _Session()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Complete `partial`.

        Raises:
            Refused: a status that no retry cures, a page instead of a file, or a redirect to plain HTTP.
            Interrupted: the patience is at its end; whole parts are kept.
            Stopped: `stop` was set; whole parts are kept.
            OSError: the disk.
        """
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        remote = self._persistently(self._probe, lambda: 0)
        if remote.size is not None:
            self.on_size(remote.size)
        if remote.ranges and remote.size:
            self._in_parts(remote.size, remote.version)
        else:
            self._in_one(remote.size)

    def discard(self) -> None:
        """Forget what was fetched."""
        self.partial.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _probe(self) -> Remote:
        """Ask for the first byte: HEAD is not answered everywhere, and says less."""
        with self._get("bytes=0-0") as response:
            total = _total(response)
            if response.status_code == 206 and total is not None:
                return Remote(total, True, _version(response))
            if response.status_code == 416 and total == 0:
                return Remote(0, False, "")
            if response.status_code == 200:
                return Remote(_length(response), False, "")
        with self._get() as response:  # a server that refuses ranges, or does not say how long the file is
            return Remote(_length(response), False, "")

    def _in_one(self, size: int | None) -> None:
        """From a server that ignores ranges: each try begins anew."""

        def attempt() -> None:
            come = 0
            try:
                with open(self.partial, "wb") as file, self._get() as response:
                    for chunk in self._chunks(response):
                        file.write(chunk)
                        come += len(chunk)
                        self.on_bytes(len(chunk))
                if size is not None and come != size:
                    raise Interrupted(f"ended after {come} of {size} bytes")
            except BaseException:
                self.on_bytes(-come)
                raise

        self._state.unlink(missing_ok=True)
        self._persistently(attempt, lambda: 0)

    def _in_parts(self, size: int, version: str) -> None:
        address = address_without_credentials(self.url)
        about = {"url": address, "size": size, "version": version, "part_bytes": PART_BYTES}
        done = self._finished_parts(about)
        parts = range(-(-size // PART_BYTES))
        self.on_bytes(sum(min(PART_BYTES, size - part * PART_BYTES) for part in done))
        descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, size)

            def fetch(part: int) -> None:
                start = part * PART_BYTES
                self._part(descriptor, start, min(start + PART_BYTES, size), size, version)
                os.fsync(descriptor)
                with self._lock:
                    done.add(part)
                    write_json(self._state, about | {"done": sorted(done)})

            with ThreadPoolExecutor(self.connections) as pool:
                futures = [pool.submit(fetch, part) for part in parts if part not in done]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    for future in futures:
                        future.cancel()
                    raise
        finally:
            os.close(descriptor)
        self._state.unlink(missing_ok=True)

    def _finished_parts(self, about: dict[str, Any]) -> set[int]:
        """Parts of an earlier run that still hold: of the same size and version, or of a known checksum."""
        if self._state.exists() and self.partial.exists():
            state = read_json(self._state)
            keys = ("size", "part_bytes") if self.sure else ("url", "size", "version", "part_bytes")
            if all(state.get(key) == about[key] for key in keys):
                return set(state["done"])
        self.discard()
        return set()

    def _part(self, descriptor: int, start: int, end: int, size: int, version: str) -> None:
        """Fetch bytes [start, end), each try from where the one before broke off."""
        position = start

        def attempt() -> None:
            nonlocal position
            with self._get(f"bytes={position}-{end - 1}") as response:
                if response.status_code != 206 or _version(response) != version or _total(response) != size:
                    raise Interrupted("the file changed on the server, or ranges are served now and then")
                if _first(response) != position:
                    raise Interrupted(f"asked for bytes from {position}, got them from {_first(response)}")
                for chunk in self._chunks(response):
                    wanted = chunk[: end - position]
                    os.pwrite(descriptor, wanted, position)
                    position += len(wanted)
                    self.on_bytes(len(wanted))
            if position < end:
                raise Interrupted(f"ended after {position - start} of {end - start} bytes")

        try:
            self._persistently(attempt, lambda: position)
        except BaseException:
            self.on_bytes(start - position)
            raise

    def _persistently(self, attempt: Callable[[], T], position: Callable[[], int]) -> T:
        """Try until the patience is at its end; a try that moves `position` starts the count anew."""
        failures = 0
        while True:
            before = position()
            try:
                return attempt()
            except Interrupted as error:
                failures = 1 if position() > before else failures + 1
                if failures > self.patience.retries:
                    raise
                wait = min(self.patience.wait_seconds * 2 ** (failures - 1), LONGEST_WAIT)
                if self.stop.wait(max(wait, error.wait)):
                    raise Stopped from None

    def _get(self, byte_range: str | None = None) -> requests.Response:
        headers = {"Accept-Encoding": "identity"} | ({"Range": byte_range} if byte_range else {})
        stall = self.patience.stall_seconds
        try:
            response = self._session.get(
                self.url, headers=headers, stream=True, timeout=stall, auth=self.authorise or _as_it_is
            )
        except requests.Timeout:
            raise Interrupted(f"no answer for {stall:g} s") from None
        except requests.exceptions.SSLError:
            raise Refused("the server's certificate is not trusted") from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise Interrupted("no connection") from None
        except requests.RequestException as error:  # too many redirects, a malformed address
            raise Refused(type(error).__name__) from None
        _check(response, byte_range is not None)
        return response

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body's bytes as they come, never decoded: the checksum is that of the file."""
        chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
        while not self.stop.is_set():
            try:
                chunk = next(chunks, b"")
            except (urllib3.exceptions.ReadTimeoutError, TimeoutError):
                raise Interrupted(f"stalled for {self.patience.stall_seconds:g} s") from None
            except (urllib3.exceptions.HTTPError, ConnectionError):
                raise Interrupted("the connection broke") from None
            if not chunk:
                return
            yield chunk
        raise Stopped


class _Session(requests.Session):
    """Follows redirects, but never from https to http, and takes credentials to no other host."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target: str | None = super().get_redirect_target(response)
        if target and urlsplit(response.url).scheme == "https":
            after = urljoin(response.url, target)
            if urlsplit(after).scheme != "https":
                raise Refused(f"redirects from https to {address_without_credentials(after)}")
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        # requests' own would also look for credentials in ~/.netrc: only the environment's are used here.
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials, also none of ~/.netrc."""
    return request


def _check(response: requests.Response, ranged: bool) -> None:
    status = response.status_code
    if status in (200, 206) or (status == 416 and ranged):
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status != 416 and kind == "text/html":
            raise Refused("a web page came in place of the file")
        return
    response.close()
    reason = f"{status} {response.reason or ''}".strip()
    if status >= 500 or status in PASSING:
        raise Interrupted(reason, _retry_after(response))
    raise Refused(reason)


def _retry_after(response: requests.Response) -> float:
    """Seconds; a date is not looked at, the usual wait serves."""
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_OBEYED) if value.isdecimal() else 0.0


def _content_range(response: requests.Response) -> tuple[str | None, str | None]:
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return (found[1], found[3]) if found else (None, None)


def _first(response: requests.Response) -> int | None:
    first, _ = _content_range(response)
    return int(first) if first is not None else None


def _total(response: requests.Response) -> int | None:
    _, total = _content_range(response)
    return int(total) if total not in (None, "*") else None


def _length(response: requests.Response) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _version(response: requests.Response) -> str:
    """Changes when the file does, where the server says so at all."""
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
