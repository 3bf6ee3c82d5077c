"""Downloads against a real server on this machine that truncates, corrupts, stalls, redirects and refuses."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from laspa import files
from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download import transfer
from laspa.corpora.download.fetch import SPARE_BYTES, fetch, plan
from laspa.errors import LaspaError
from laspa.params import Download
from tests.bad_server import BadServer, bad_server

CONTENT = np.random.default_rng(0).bytes(10_500)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PART = 1000
OPTIONS: dict[str, Any] = {
    "folder": "unused",
    "accept_licences": [],
    "mirrors": {},
    "parallel": 4,
    "retries": 2,
    "stall_seconds": 0.3,
    "wait_seconds": 0.01,
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    monkeypatch.setattr(transfer, "PART_BYTES", PART)
    with bad_server() as running:
        running.files["/a.bin"] = CONTENT
        yield running


def get(server: BadServer, folder: Path, name: str = "a.bin", **known: Any) -> bytes:
    """Fetch one file into `folder`; its bytes."""
    file = RemoteFile(f"{server.url}/{name}", name, **known)
    (path,) = fetch([file], folder, folder / "checksums.json", Download(**OPTIONS), "test")
    return path.read_bytes()


def ranges(server: BadServer) -> list[int]:
    """First bytes asked for, without the probe's."""
    asked = [seen.range.removeprefix("bytes=") for seen in server.seen if seen.range not in ("", "bytes=0-0")]
    return sorted(int(one.partition("-")[0]) for one in asked)


def test_a_file_comes_in_parts_is_pinned_and_is_not_fetched_again(server: BadServer, tmp_path: Path) -> None:
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == list(range(0, 10_500, PART))
    pins = json.loads((tmp_path / "checksums.json").read_text())
    assert pins == {f"{server.url}/a.bin": {"sha256": SHA256, "size": 10_500}}
    server.seen.clear()
    assert get(server, tmp_path) == CONTENT
    assert not server.seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "checksums.json"]


@pytest.mark.parametrize(
    "faults",
    [
        ["500", "503", ""],
        ["", "truncate", "truncate", "truncate", "truncate"],
        ["", "stall"],
        ["busy"],
        ["416"],
        ["ignore_range", "ignore_range"],
    ],
    ids=lambda faults: "-".join(faults),
)
def test_what_passes_is_borne(server: BadServer, tmp_path: Path, faults: list[str]) -> None:
    server.faults["/a.bin"] = faults
    assert get(server, tmp_path, checksum=f"sha256:{SHA256}") == CONTENT


def test_a_broken_part_goes_on_from_where_it_broke(server: BadServer, tmp_path: Path) -> None:
    server.faults["/a.bin"] = ["", *["truncate"] * 3]
    options = Download(**OPTIONS | {"parallel": 1})
    file = RemoteFile(f"{server.url}/a.bin", "a.bin")
    fetch([file], tmp_path, tmp_path / "checksums.json", options, "test")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    # Half of what is left of the first part, three times: 500, 250 and 125 bytes.
    assert ranges(server)[:4] == [0, 500, 750, 875]


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1])
def test_files_of_any_size(server: BadServer, tmp_path: Path, size: int) -> None:
    server.files["/b"] = CONTENT[:size]
    assert get(server, tmp_path, "b") == CONTENT[:size]


def test_a_whole_file_without_its_name_is_asked_for_no_more(server: BadServer, tmp_path: Path) -> None:
    """A run that was killed between its last part and the renaming: such a server would answer 416."""
    (tmp_path / "a.bin.partial").write_bytes(CONTENT)
    state = {"url": f"{server.url}/a.bin", "size": 10_500, "version": '"1"', "part_bytes": PART}
    (tmp_path / "a.bin.partial.json").write_text(json.dumps(state | {"done": list(range(11))}))
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == []


def test_a_server_without_ranges(server: BadServer, tmp_path: Path) -> None:
    server.always["/a.bin"] = "ignore_range"
    server.faults["/a.bin"] = ["ignore_range", "truncate"]
    assert get(server, tmp_path) == CONTENT


def test_a_server_that_refuses_every_range(server: BadServer, tmp_path: Path) -> None:
    server.faults["/a.bin"] = ["416"]
    server.always["/a.bin"] = "ignore_range"
    assert get(server, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "404 Not Found"),
        ("500", "500 Internal Server Error"),
        ("truncate", "ended after|connection broke"),
        ("stall", "stalled for 0.3 s"),
        ("html", "a web page came in place of the file"),
        ("corrupt", "is not that of its publisher"),
    ],
)
def test_what_lasts_is_an_error_that_says_what(
    server: BadServer, tmp_path: Path, fault: str, words: str
) -> None:
    server.always["/b"] = fault
    server.files["/b"] = CONTENT[:PART]
    digest = hashlib.md5(CONTENT[:PART]).hexdigest()
    if fault == "truncate":  # of one byte nothing is left: the probe passes, the part never moves
        server.faults["/b"] = [""]
        server.files["/b"] = CONTENT[:1]
    with pytest.raises(LaspaError, match=words) as raised:
        get(server, tmp_path, "b", checksum=f"md5:{digest}")
    assert f"{server.url}/b" in str(raised.value)
    assert str(tmp_path / "b") in str(raised.value)  # where to put it by hand
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "checksums.json").exists()


def test_a_server_that_is_gone(server: BadServer, tmp_path: Path) -> None:
    file = RemoteFile("http://127.0.0.1:9/x?key=secret", "x")  # port 9, discard: nobody listens
    with pytest.raises(LaspaError, match="no connection") as raised:
        fetch([file], tmp_path, tmp_path / "checksums.json", Download(**OPTIONS), "test")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "first", "waits"),
    [("500", 8.0, [8.0, 16.0, 32.0, 60.0]), ("busy", 0.25, [1.0, 1.0, 1.0, 2.0])],
)
def test_waits_double_to_a_minute_or_are_what_the_server_asks_for(
    server: BadServer, tmp_path: Path, fault: str, first: float, waits: list[float]
) -> None:
    waited: list[float | None] = []

    class Recorder(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            return False

    server.always["/a.bin"] = fault
    options = Download(**OPTIONS | {"retries": 4, "stall_seconds": 5.0, "wait_seconds": first})
    with pytest.raises(transfer.Interrupted):
        transfer.Transfer(f"{server.url}/a.bin", tmp_path / "x", options, stop=Recorder()).run()
    assert waited == waits


def test_damage_on_the_way_is_fetched_once_more(server: BadServer, tmp_path: Path) -> None:
    server.faults["/a.bin"] = ["", "", "corrupt"]
    assert get(server, tmp_path, checksum=f"md5:{hashlib.md5(CONTENT).hexdigest()}") == CONTENT


def test_a_git_blob_is_checked_by_its_id(server: BadServer, tmp_path: Path) -> None:
    server.files["/b"] = b"hello\n"
    # `printf 'hello\n' | git hash-object --stdin`
    assert get(server, tmp_path, "b", checksum="git:ce013625030ba8dba906f756967f9e9ca394464a") == b"hello\n"


def test_a_mirror_steps_in_and_its_parts_are_gone_on_with(server: BadServer, tmp_path: Path) -> None:
    # The first address gives three parts and then breaks for good; the second gives the rest.
    server.faults["/a.bin"] = ["", "", "", "", *["500"] * 3]
    server.always["/a.bin"] = "404"
    server.files["/mirror"] = CONTENT
    file = RemoteFile(
        f"{server.url}/a.bin", "a.bin", checksum=f"sha256:{SHA256}", mirrors=(f"{server.url}/mirror",)
    )
    options = Download(**OPTIONS | {"parallel": 1})
    fetch([file], tmp_path, tmp_path / "checksums.json", options, "test")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    from_mirror = [seen for seen in server.seen if seen.path == "/mirror"]
    assert len(from_mirror) == 1 + 8  # the probe, and 8 of the 11 parts
    assert f"{server.url}/a.bin" in (tmp_path / "checksums.json").read_text()


def test_mirrors_of_the_params_stand_in(server: BadServer, tmp_path: Path) -> None:
    server.files["/mine/deep/a.bin"] = CONTENT
    file = RemoteFile(f"{server.url}/far/deep/a.bin", "a.bin")
    options = Download(**OPTIONS | {"mirrors": {f"{server.url}/far/": f"{server.url}/mine/"}})
    fetch([file], tmp_path, tmp_path / "checksums.json", options, "test")
    assert {seen.path for seen in server.seen} == {"/mine/deep/a.bin"}
    # The pin is of the file, wherever it came from.
    assert f"{server.url}/far/deep/a.bin" in (tmp_path / "checksums.json").read_text()


def test_what_may_change_is_fetched_once_and_not_pinned(server: BadServer, tmp_path: Path) -> None:
    assert get(server, tmp_path, pin=False) == CONTENT
    server.files["/a.bin"] = CONTENT[::-1]
    assert get(server, tmp_path, pin=False) == CONTENT
    (tmp_path / "a.bin").unlink()
    assert get(server, tmp_path, pin=False) == CONTENT[::-1]
    assert not (tmp_path / "checksums.json").exists()


def test_a_file_that_changes_on_the_server_is_not_mixed(server: BadServer, tmp_path: Path) -> None:
    server.faults["/a.bin"] = ["", "", "", *["404"] * 20]
    options = Download(**OPTIONS | {"parallel": 1})
    file = RemoteFile(f"{server.url}/a.bin", "a.bin")
    with pytest.raises(LaspaError, match="404"):
        fetch([file], tmp_path, tmp_path / "checksums.json", options, "test")
    assert (tmp_path / "a.bin.partial.json").exists()
    server.faults["/a.bin"], server.versions["/a.bin"] = [], '"2"'
    server.files["/a.bin"] = changed = CONTENT[::-1]
    fetch([file], tmp_path, tmp_path / "checksums.json", options, "test")
    assert (tmp_path / "a.bin").read_bytes() == changed


def test_a_pinned_file_that_changed_is_refused(server: BadServer, tmp_path: Path) -> None:
    get(server, tmp_path)
    (tmp_path / "a.bin").unlink()
    server.files["/a.bin"] = CONTENT[::-1]
    with pytest.raises(LaspaError, match=f"is not that of checksums.json, {SHA256}"):
        get(server, tmp_path)


def test_a_file_put_there_by_hand_is_checked_and_pinned(server: BadServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert get(server, tmp_path, checksum=f"sha256:{SHA256}") == CONTENT
    assert not server.seen
    assert SHA256 in (tmp_path / "checksums.json").read_text()
    (tmp_path / "a.bin").write_bytes(b"half")  # and one that is not the file is fetched
    assert get(server, tmp_path) == CONTENT


def test_redirects_take_credentials_to_no_other_host(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEECH_USER", "ann")
    monkeypatch.setenv("SPEECH_PASSWORD", "hunter2")
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.always["/same"] = "redirect /a.bin"
    server.always["/other"] = f"redirect {elsewhere}/a.bin"
    assert get(server, tmp_path, "same", credentials="SPEECH") == CONTENT
    assert all(seen.authorization == "Basic YW5uOmh1bnRlcjI=" for seen in server.seen)
    server.seen.clear()
    assert get(server, tmp_path, "other", credentials="SPEECH") == CONTENT
    sent = {(seen.path, bool(seen.authorization)) for seen in server.seen}
    assert sent == {("/other", True), ("/a.bin", False)}
    assert "hunter2" not in (tmp_path / "checksums.json").read_text()


def test_no_redirect_from_https_to_http() -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://a.org/x"
    answer.headers["Location"] = "http://a.org/x?key=secret"
    with pytest.raises(transfer.Refused, match=r"redirects from https to http://a\.org/x$"):
        transfer._Session().get_redirect_target(answer)
    answer.headers["Location"] = "/y"
    assert transfer._Session().get_redirect_target(answer) == "/y"


def test_netrc_is_not_read(server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(server, tmp_path)
    assert not any(seen.authorization for seen in server.seen)


def test_missing_and_wrong_credentials_name_the_variables(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LaspaError, match="set SPEECH_USER and SPEECH_PASSWORD, or SPEECH_TOKEN"):
        get(server, tmp_path, credentials="SPEECH")
    monkeypatch.setenv("SPEECH_TOKEN", "hunter2")
    server.always["/a.bin"] = "401"
    with pytest.raises(LaspaError, match=r"401 Unauthorized \(are SPEECH_USER") as raised:
        get(server, tmp_path, credentials="SPEECH")
    assert server.seen[-1].authorization == "Bearer hunter2"
    assert "hunter2" not in str(raised.value)


def test_secrets_in_an_address_reach_neither_messages_nor_pins(server: BadServer, tmp_path: Path) -> None:
    file = RemoteFile(f"{server.url}/a.bin?key=secret", "a.bin")
    fetch([file], tmp_path, tmp_path / "checksums.json", Download(**OPTIONS), "test")
    assert server.seen[0].path == "/a.bin?key=secret"
    assert "secret" not in (tmp_path / "checksums.json").read_text()


def test_too_little_disk_is_told_before_the_first_byte(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 5000 + SPARE_BYTES})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LaspaError, match=r"test: the download would take 10\.3 KiB, .* set download\.folder"):
        get(server, tmp_path, size=10_500)
    assert not server.seen
    with pytest.raises(LaspaError, match=r"the download would take 10\.3 KiB"):
        get(server, tmp_path)  # its size comes with the first answer
    assert not ranges(server)


def test_many_files_at_once_and_one_that_fails(server: BadServer, tmp_path: Path) -> None:
    files = [RemoteFile(f"{server.url}/f{number}", f"in/f{number}") for number in range(6)]
    for number in range(6):
        server.files[f"/f{number}"] = CONTENT[number:]
    paths = fetch(files, tmp_path, tmp_path / "checksums.json", Download(**OPTIONS), "test")
    assert [path.read_bytes() for path in paths] == [CONTENT[number:] for number in range(6)]
    pinned = list(json.loads((tmp_path / "checksums.json").read_text()))
    assert pinned == sorted(pinned)
    files.append(RemoteFile(f"{server.url}/none", "none"))
    with pytest.raises(LaspaError, match="none could not be fetched"):
        fetch(files, tmp_path, tmp_path / "checksums.json", Download(**OPTIONS), "test")


def test_a_plan_says_what_is_known(server: BadServer, tmp_path: Path) -> None:
    checksums = tmp_path / "checksums.json"
    known = RemoteFile(f"{server.url}/b", "b", size=7, checksum="md5:0")
    unknown = RemoteFile(f"{server.url}/a.bin", "a.bin")
    states = plan([known, unknown], tmp_path, checksums)
    assert [(one.size, one.where, one.checksum) for one in states] == [
        (7, "missing", "published (md5)"),
        (None, "missing", "unknown until first fetch"),
    ]
    assert not server.seen
    fetch([unknown], tmp_path, checksums, Download(**OPTIONS), "test")
    (state,) = plan([unknown], tmp_path, checksums)
    assert (state.size, state.where, state.checksum) == (10_500, "here", "pinned")


KILLED = """
from pathlib import Path
from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download.fetch import fetch
from laspa.corpora.download import transfer
from laspa.params import Download
transfer.PART_BYTES = {part}
folder = Path({folder!r})
file = RemoteFile({url!r}, "a.bin")
fetch([file], folder, folder / "checksums.json", Download(**{options!r}), "test")
"""


def test_a_killed_download_goes_on_from_its_parts(server: BadServer, tmp_path: Path) -> None:
    server.always["/a.bin"] = "slow"
    options = OPTIONS | {"parallel": 1}
    program = KILLED.format(part=PART, folder=str(tmp_path), url=f"{server.url}/a.bin", options=options)
    running = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    state = tmp_path / "a.bin.partial.json"
    deadline = time.monotonic() + 30
    while not state.exists() or len(json.loads(state.read_text())["done"]) < 3:
        assert time.monotonic() < deadline, "no part came"
        assert running.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    done = json.loads(state.read_text())["done"]
    assert not (tmp_path / "a.bin").exists()
    time.sleep(0.1)  # what was still asked for then is answered now
    server.seen.clear()
    server.always.clear()
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == [start for start in range(0, 10_500, PART) if start // PART not in done]
