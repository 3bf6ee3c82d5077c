"""One file over HTTP: in parts by range requests, resumed, retried, checked by length; never half-written."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from laspa.files import read_json, write_json
from laspa.params import Download
from laspa.redaction import address_without_credentials

T = TypeVar("T")
Authorise = Callable[[requests.PreparedRequest], requests.PreparedRequest]

PART_BYTES = 16 * 2**20  # of one request: the most that a killed run fetches again for each connection
CHUNK_BYTES = 64 * 2**10
LONGEST_WAIT = 60.0  # seconds between two tries, unless the server asks for more
LONGEST_RETRY_AFTER = 300.0  # seconds that a server may ask for
RETRIED = {408, 425, 429}  # beside 5xx: statuses after which another try may succeed (RFC 9110, RFC 6585)
UNTRUSTED = re.compile(r"certificate verify failed: (.*?) \(_ssl")
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class Interrupted(Exception):
    """A failure after which another try may succeed; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Refused(Exception):
    """A failure that another try at this address will not change."""


class Stopped(Exception):
    """Another thread failed, or the user pressed Ctrl-C."""


class _Remote(NamedTuple):
    """What a server says about a file: bytes (None: unknown), whether it serves ranges, its version."""

    size: int | None
    ranges: bool = False
    version: str = ""


@dataclass
class Transfer:
    """The download of one file from one address; `run` does it.

    Args:
        url: http or https.
        partial: where the bytes are collected; `partial`.json beside it lists the finished parts.
        options: `retries`, consecutive tries without a new byte before the address is given up;
            `stall_seconds` without a byte before a connection is given up; `wait_seconds` before the first
            retry, doubled with each.
        connections: parts at a time.
        known_checksum: the file's checksum is known, so parts from another address may be kept.
        authorise: adds credentials to a request; a redirect to another host loses them.
        on_bytes: called with bytes as they come, and with a negative number for bytes that are dropped.
        on_size: called with the size, before a byte is written.
        stop: ends the download at the next chunk when set.
    """

    url: str
    partial: Path
    options: Download
    connections: int = 1
    known_checksum: bool = False
    authorise: Authorise | None = None
    on_bytes: Callable[[int], None] = lambda _: None
    on_size: Callable[[int], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._state = self.partial.with_name(f"{self.partial.name}.json")
        self._session = _Session()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Complete `partial`.

        Raises:
            Refused: a status that no retry changes, a page instead of a file, or a redirect to plain HTTP.
            Interrupted: the last allowed retry failed; finished parts are kept.
            Stopped: `stop` was set; finished parts are kept.
            OSError: the disk.
        """
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        remote = self._retried(self._probe)
        if remote.size is not None:
            self.on_size(remote.size)
        if remote.ranges and remote.size:
            self._in_parts(remote.size, remote.version)
        else:
            self._in_one(remote.size)

    def discard(self) -> None:
        """Delete what was fetched."""
        self.partial.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _probe(self) -> _Remote:
        """Ask for the first byte: not every server answers HEAD, and HEAD says less."""
        with self._get("bytes=0-0") as response:
            _, total = _content_range(response)
            if response.status_code == 206 and total is not None:
                return _Remote(total, True, _version(response))
            if response.status_code == 416 and total == 0:
                return _Remote(0)
            if response.status_code == 200:
                return _Remote(_number(response.headers.get("Content-Length")))
        with self._get() as response:  # a server that refuses ranges, or does not say how long the file is
            return _Remote(_number(response.headers.get("Content-Length")))

    def _in_one(self, size: int | None) -> None:
        """From a server without ranges: each try starts from the beginning."""

        def attempt() -> None:
            received = 0
            try:
                with open(self.partial, "wb") as file, self._get() as response:
                    for chunk in self._chunks(response):
                        file.write(chunk)
                        received += len(chunk)
                        self.on_bytes(len(chunk))
                if size is not None and received != size:
                    raise Interrupted(f"ended after {received} of {size} bytes")
            except BaseException:
                self.on_bytes(-received)
                raise

        self._state.unlink(missing_ok=True)
        self._retried(attempt)

    def _in_parts(self, size: int, version: str) -> None:
        address = address_without_credentials(self.url)
        about = {"url": address, "size": size, "version": version, "part_bytes": PART_BYTES}
        done = self._finished_parts(about)
        missing = [part for part in range(-(-size // PART_BYTES)) if part not in done]
        self.on_bytes(sum(min(PART_BYTES, size - part * PART_BYTES) for part in done))
        descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o644)

        def fetch(part: int) -> None:
            start = part * PART_BYTES
            self._part(descriptor, start, min(start + PART_BYTES, size), size, version)
            os.fsync(descriptor)
            with self._lock:
                done.add(part)
                write_json(self._state, about | {"done": sorted(done)})

        try:
            os.ftruncate(descriptor, size)
            with ThreadPoolExecutor(self.connections) as pool:
                for _ in pool.map(fetch, missing):  # a failure cancels the parts that have not begun
                    pass
        finally:
            os.close(descriptor)
        self._state.unlink(missing_ok=True)

    def _finished_parts(self, about: dict[str, Any]) -> set[int]:
        """Usable parts of an earlier run: of the same size and version, or of a known checksum."""
        if self._state.exists() and self.partial.exists():
            state = read_json(self._state)
            keys = ("size", "part_bytes") if self.known_checksum else tuple(about)
            if all(state.get(key) == about[key] for key in keys):
                return set(state["done"])
        self.discard()
        return set()

    def _part(self, descriptor: int, start: int, end: int, size: int, version: str) -> None:
        """Fetch bytes [start, end); each try continues where the last one broke off."""
        position = start

        def attempt() -> None:
            nonlocal position
            with self._get(f"bytes={position}-{end - 1}") as response:
                first, total = _content_range(response)
                if response.status_code != 206 or _version(response) != version or total != size:
                    raise Interrupted("the file changed on the server, or it serves ranges only sometimes")
                if first != position:
                    raise Interrupted(f"asked for bytes from {position}, got them from {first}")
                for chunk in self._chunks(response):
                    wanted = chunk[: end - position]
                    os.pwrite(descriptor, wanted, position)
                    position += len(wanted)
                    self.on_bytes(len(wanted))
            if position < end:
                raise Interrupted(f"ended after {position - start} of {end - start} bytes")

        try:
            self._retried(attempt, lambda: position)
        except BaseException:
            self.on_bytes(start - position)
            raise

    def _retried(self, attempt: Callable[[], T], position: Callable[[], int] = lambda: 0) -> T:
        """Try until the retries are used up; a try that moves `position` resets the count.

        Not urllib3's Retry: its waits cannot be stopped, and it counts no bytes of a broken body.
        """
        failures = 0
        while True:
            before = position()
            try:
                return attempt()
            except Interrupted as error:
                failures = 1 if position() > before else failures + 1
                if failures > self.options.retries:
                    raise
                wait = min(self.options.wait_seconds * 2 ** (failures - 1), LONGEST_WAIT)
                if self.stop.wait(max(wait, error.wait)):
                    raise Stopped from None

    def _get(self, byte_range: str = "") -> requests.Response:
        headers = {"Accept-Encoding": "identity"} | ({"Range": byte_range} if byte_range else {})
        stall = self.options.stall_seconds
        # Without an `auth`, requests would look for credentials in ~/.netrc.
        auth = self.authorise or (lambda request: request)
        try:
            response = self._session.get(self.url, headers=headers, stream=True, timeout=stall, auth=auth)
        except requests.Timeout:
            raise Interrupted(f"no answer for {stall:g} s") from None
        except requests.exceptions.SSLError as error:
            if (found := UNTRUSTED.search(str(error))) is None:  # cut off while TLS began: another try may do
                raise Interrupted("no encrypted connection") from None
            raise Refused(
                f"the server's certificate is not trusted ({found[1]}); check the address and this machine's "
                "clock, or name your network's own certificates in REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise Interrupted("no connection") from None
        except requests.RequestException as error:  # too many redirects, a malformed address
            raise Refused(type(error).__name__) from None
        status = response.status_code
        if status == 416 and byte_range:
            return response
        if status in (200, 206):
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind == "text/html":
                raise Refused("a web page came in place of the file")
            return response
        response.close()
        reason = f"{status} {response.reason or ''}".strip()
        if status < 500 and status not in RETRIED:
            raise Refused(reason)
        wait = _number(response.headers.get("Retry-After"))  # a date is ignored: the usual wait is enough
        raise Interrupted(reason, min(wait or 0, LONGEST_RETRY_AFTER))

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body's bytes as they come, not decoded: the checksum is of the file."""
        chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
        while not self.stop.is_set():
            try:
                chunk = next(chunks, b"")
            except (urllib3.exceptions.ReadTimeoutError, TimeoutError):
                raise Interrupted(f"stalled for {self.options.stall_seconds:g} s") from None
            except (urllib3.exceptions.HTTPError, ConnectionError):
                raise Interrupted("the connection broke") from None
            if not chunk:
                return
            yield chunk
        raise Stopped


class _Session(requests.Session):
    """Follows redirects, but never from https to http, and sends credentials to no other host."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target: str | None = super().get_redirect_target(response)
        if target and urlsplit(response.url).scheme == "https":
            after = urljoin(response.url, target)
            if urlsplit(after).scheme != "https":
                raise Refused(f"redirects from https to {address_without_credentials(after)}")
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        # requests' own would also look for credentials in ~/.netrc: here only the environment's are used.
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and total size, where the server says them."""
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return (_number(found[1]), _number(found[2])) if found else (None, None)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _version(response: requests.Response) -> str:
    """Changes when the file does, if the server says so at all."""
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
