"""Files: written whole or not at all, read with clear errors, and disk space checked first."""

import glob
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError, one_line

PATIENCE_SECONDS, RETRY_SECONDS = 120.0, 5.0  # for a shared folder that is away for a moment; our choice


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends without an exception.

    The block may create a file or a folder there. After an exception nothing is left behind, and
    `path` is as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(target)
    temporary = _temporary(target, os.getpid())
    try:
        yield temporary
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _temporary(target: Path, process: int | str) -> Path:
    # With the host: on a disk that machines share, only its own can tell whether a process lives.
    return target.with_name(f".{target.name}.{socket.gethostname()}-{process}.tmp")


def _remove_left(target: Path) -> None:
    """Remove what writers of `target` on this machine that were killed have left beside it."""
    for left in target.parent.glob(f"{glob.escape(_temporary(target, '').stem)}*.tmp"):
        process = left.stem.rpartition("-")[2]
        try:
            os.kill(int(process), 0)
        except (ProcessLookupError, OverflowError, ValueError):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        except PermissionError:  # it lives, another user's
            pass


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any, sort: bool = True) -> None:
    """Write `value` as indented JSON, by default with sorted keys; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=sort, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        LaspaError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage that writes it (dvc repro)") from None
    except (ValueError, RecursionError) as error:
        raise LaspaError(f"{path}: not valid JSON ({error}); delete it, make it again") from None


@contextmanager
def parsed(path: Path | str, what: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever a parser raises in the block into one line: that the file at `path` is not `what`.

    Parsers of damaged files raise OSError, ValueError, KeyError and more. A missing file stays a
    FileNotFoundError.

    Raises:
        LaspaError: names the file and the reason.
    """
    try:
        yield
    except (LaspaError, FileNotFoundError):
        raise
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise LaspaError(f"{path}: not {what} ({reason}){remedy and '; '}{remedy}") from None


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wait_for(folder: Path) -> None:
    """Wait, for `PATIENCE_SECONDS`, until a folder that was there is there again.

    Raises:
        LaspaError: it is still away.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not os.path.isdir(folder):  # not Path.is_dir, which raises what a lost mount answers
        if time.monotonic() > deadline:
            raise LaspaError(f"{folder}: no such folder any more; bring it back, then start again")
        time.sleep(RETRY_SECONDS)


def require_room(folder: Path, wanted: int, what: str, remedy: str, spare: int = 0) -> None:
    """Check that the disk of `folder` has room for `wanted` bytes, and `spare` more that stay free.

    Args:
        what: what takes the room, as the message begins: `nisp: the download`.
        remedy: what to do, as the message ends.

    Raises:
        LaspaError: too little room.
    """
    free = shutil.disk_usage(folder).free
    if wanted + spare > free:
        room = f"{in_bytes(free)} free" + (f" ({in_bytes(spare)} of it stay free)" if spare else "")
        raise LaspaError(f"{what} would take {in_bytes(wanted)}, but {folder} has only {room}; {remedy}")


def in_bytes(count: float) -> str:
    """`count` bytes for people: 1,311,166,223 is 1.2 GiB."""
    unit, *larger = "B", "KiB", "MiB", "GiB", "TiB"
    for next_unit in larger:
        if abs(count) < 1024:
            break
        count, unit = count / 1024, next_unit
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
