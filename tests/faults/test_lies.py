"""A server that lies in its headers: the right bytes or one line, soon, and nothing of the lie is kept."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download import transfer
from laspa.corpora.download.fetch import fetch
from laspa.errors import LaspaError
from laspa.params import Download
from tests.bad_server import BadServer, bad_server
from tests.faults.summary import keep

CONTENT = np.random.default_rng(0).bytes(5500)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OPTIONS: dict[str, Any] = {"folder": "x", "accept_licences": [], "mirrors": {}, "parallel": 2, "retries": 2}
OPTIONS |= {"stall_seconds": 0.2, "wait_seconds": 0.01}
SEED, FEW, MANY, SECONDS = 1, 40, 400, 30
NUMBERS = ["0", "1", "-1", "5499", "5501", "99999999999999999999", "1e3", "", "x", "5500, 5500", "0x10"]
LIES: dict[str, list[str]] = {
    "status": ["200", "206", "204", "203", "301", "304", "416", "429", "503"],
    "Content-Length": NUMBERS,
    "Content-Range": [
        *(f"bytes 0-{number}/5500" for number in NUMBERS),
        *(f"bytes {number}-999/{number}" for number in NUMBERS),
        "bytes */*",
        "bytes */0",
        "lines 1-2/3",
        "bytes 0-0/99999999999999",
    ],
    "Content-Encoding": ["gzip", "br", "identity, gzip", "nonsense"],
    "Transfer-Encoding": ["chunked", "gzip"],
    "Content-Type": ["text/html", "text/html; charset=x", "multipart/byteranges; boundary=x", ""],
    "ETag": ['"2"', "", 'W/"1"', "\xff"],
    "Last-Modified": ["yesterday", ""],
    "Location": ["/a.bin", "ftp://127.0.0.1/x", "//[", "", "file:///etc/passwd", "/a.bin" * 500],
    "Retry-After": ["99999999", "-5", "tomorrow", "nan"],
    "Connection": ["close", "upgrade"],
    "Set-Cookie": ["a=b; Domain=.org", "=" * 5000],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    monkeypatch.setattr(transfer, "LONGEST_RETRY_AFTER", 0.1)
    with bad_server() as running:
        running.files["/a.bin"] = CONTENT
        yield running


def lie(server: BadServer, folder: Path, generator: np.random.Generator) -> str:
    """Fetch a file while the server lies a few times: right, or refused.

    Raises:
        AssertionError: other bytes, more than a line, or too long.
    """
    names = list(LIES)
    server.lies = [
        {
            name: str(generator.choice(LIES[name]))
            for name in generator.choice(names, int(generator.integers(0, 4)), replace=False)
        }
        for _ in range(int(generator.integers(1, 12)))
    ]
    told = [dict(one) for one in server.lies]
    file = RemoteFile(f"{server.url}/a.bin", "a.bin", checksum=f"sha256:{SHA256}")
    began = time.monotonic()
    try:
        (path,) = fetch([file], folder, folder / "checksums.json", Download(**OPTIONS), "test")
        said = ""
    except LaspaError as error:
        said = str(error)
    assert time.monotonic() - began < SECONDS, told
    assert "Traceback" not in said, told
    assert (folder / "a.bin").exists() == (not said), told
    assert said or path.read_bytes() == CONTENT, told
    return "refused" if said else "right"


def fetch_all(server: BadServer, tmp_path: Path, count: int) -> list[str]:
    generator = np.random.default_rng(SEED)
    return [lie(server, tmp_path / str(number), generator) for number in range(count)]


def test_lying_headers(server: BadServer, tmp_path: Path) -> None:
    assert set(fetch_all(server, tmp_path, FEW)) == {"right", "refused"}


@pytest.mark.faults
def test_many_lying_headers(server: BadServer, tmp_path: Path) -> None:
    outcomes = fetch_all(server, tmp_path, MANY)
    keep("lying_servers", downloads=MANY, right=outcomes.count("right"), refused=outcomes.count("refused"))
