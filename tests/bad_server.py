"""A real HTTP server on 127.0.0.1 that misbehaves as told: for tests of downloads."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, NamedTuple


class Seen(NamedTuple):
    """A request: its path, its Range and its Authorization header (empty where there is none)."""

    path: str
    range: str
    authorization: str


class BadServer(ThreadingHTTPServer):
    """Serves `files` by path. `faults[path]` are acted one a request; `always[path]` at each.

    Faults: a status ("404", "500", "416"), "stall", "truncate", "corrupt", "ignore_range", "html",
    "redirect URL", "slow", "busy" (503 with Retry-After: 1).
    """

    daemon_threads = True
    request_queue_size = 64  # a connection beyond the queue waits a second

    def __init__(self, certificate: Path | None = None) -> None:
        """Serve; with a PEM file of certificate and key over TLS."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "http"
        if certificate:
            context, self.scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.always: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.lies: list[dict[str, str]] = []  # headers of the next answers, in place of true ones
        self.seen: list[Seen] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


@contextmanager
def bad_server(certificate: Path | None = None) -> Iterator[BadServer]:
    """A server that runs while the block does."""
    with BadServer(certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: BadServer
    protocol_version: ClassVar[str] = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        wanted = self.headers.get("Range", "")
        self.server.seen.append(Seen(self.path, wanted, self.headers.get("Authorization", "")))
        planned = self.server.faults.get(path, [])
        fault = planned.pop(0) if planned else self.server.always.get(path, "")
        if fault.startswith("redirect "):
            self._answer(302, b"", {"Location": fault.partition(" ")[2]})
        elif fault.isdecimal():
            self._answer(int(fault), b"")
        elif fault == "busy":
            self._answer(503, b"", {"Retry-After": "1"})
        elif fault == "html":
            self._answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif path not in self.server.files:
            self._answer(404, b"")
        else:
            self._serve(path, "" if fault == "ignore_range" else wanted, fault)

    def _serve(self, path: str, wanted: str, fault: str) -> None:
        content = self.server.files[path]
        headers = {"ETag": self.server.versions.get(path, '"1"')}
        status, body = 200, content
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if int(first) >= len(content):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            end = min(int(last), len(content) - 1)
            status, body = 206, content[int(first) : end + 1]
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
        if fault == "corrupt":
            body = bytes([body[0] ^ 255]) + body[1:]
        self._answer(status, body, headers, fault)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, fault: str = ""
    ) -> None:
        lies = self.server.lies.pop(0) if self.server.lies else {}
        self.send_response(int(lies.pop("status", status)))
        told = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        for name, value in (told | (headers or {}) | lies).items():
            self.send_header(name, value)
        self.end_headers()
        if fault in ("truncate", "stall"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault == "stall":
                self.server.released.wait(10)
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(0.05)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
