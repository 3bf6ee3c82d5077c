"""Files appear whole or not at all."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from laspa.errors import LaspaError
from laspa.files import atomic_path, read_json, require_room, sha256_file, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "table.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "whole"
    assert names(target.parent) == ["table.txt"]


def test_a_failed_block_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    target.write_text("before")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ha")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert target.read_text() == "before"
    assert names(tmp_path) == ["table.txt"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "shards"
    target.mkdir()
    (target / "old").touch()
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["shards"]


def test_a_failed_folder_is_removed(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "shards") as temporary:
            temporary.mkdir()
            (temporary / "half").touch()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert names(tmp_path) == []


def test_a_killed_writer_leaves_no_target(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    program = (
        "import os, signal\n"
        "from laspa.files import atomic_path\n"
        f"with atomic_path({str(target)!r}) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1.5, "a": [None, "é"]})
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")
    assert list(read_json(tmp_path / "a.json")) == ["a", "b"]
    assert read_json(tmp_path / "a.json") == {"a": [None, "é"], "b": 1.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_lacks(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"eer": value})
    assert names(tmp_path) == []


def test_reading_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"none\.json: no such file; run the stage"):
        read_json(tmp_path / "none.json")
    write_text(tmp_path / "half.json", '{"a": ')
    with pytest.raises(LaspaError, match=r"half\.json: not valid JSON"):
        read_json(tmp_path / "half.json")


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_too_little_room_is_said_with_what_would_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("laspa.files.shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    require_room(tmp_path, 3 * 2**20, "the states", "make room")
    require_room(tmp_path, 2**20, "the states", "make room", spare=2 * 2**20)
    with pytest.raises(LaspaError) as raised:
        require_room(tmp_path, 2**20 + 1, "the states", "make room", spare=2 * 2**20)
    assert str(raised.value) == (
        f"the states would take 1.0 MiB, but {tmp_path} has only 3.0 MiB free (2.0 MiB of it stay free); "
        "make room"
    )
