"""Commands killed at random moments, alone or with their processes, and what must be left then: nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psutil

from tests.regression.tiny import FOREIGN_VARIABLES

GONE_SECONDS = 120.0  # in which all processes end, on a busy machine
ENOUGH_SECONDS = 20.0  # for a command to notice that a process of it is gone
# What DVC does not keep: pages that say when they were made, and the features that the next run may use.
NOT_KEPT = ("data/.gx/", "reports/data_docs/", "data/.partial/kept-features/")
KINDS = ("all", "first", "one")  # all at once as at a power cut; the command alone; one of its processes


def start(folder: Path, *command: str) -> "subprocess.Popen[bytes]":
    """`python -m COMMAND` in a session of its own; its output is appended to output.log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_VARIABLES)}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    with (folder.parent / "output.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=kept,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def family(process: int) -> list[psutil.Process]:
    """A process and all below it."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    return []


def kill_at_random(
    started: "subprocess.Popen[bytes]",
    generator: np.random.Generator,
    seconds: float,
    kinds: tuple[str, ...] = KINDS,
) -> str:
    """Kill within `seconds`; the kind, or "ended" if it was done before.

    Raises:
        AssertionError: a process of it is still there GONE_SECONDS later.
    """
    with suppress(subprocess.TimeoutExpired):
        started.wait(generator.uniform(0, seconds))
        return "ended"
    kind = str(generator.choice(kinds))
    processes = family(started.pid)
    if kind == "all":
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    elif processes:
        chosen = 0 if kind == "first" else int(generator.integers(len(processes)))
        with suppress(psutil.NoSuchProcess):
            processes[chosen].kill()
    deadline = time.monotonic() + GONE_SECONDS
    try:
        started.wait(ENOUGH_SECONDS)
    except subprocess.TimeoutExpired:  # still running without the killed process: stop the rest
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    known = {one.pid: one for one in processes}
    while alive := [one for one in known.values() if living(one)]:
        if time.monotonic() > deadline:
            named = [" ".join(one.cmdline()[:6]) for one in alive if living(one)]
            for one in alive:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            raise AssertionError(f"killed ({kind}), and still there: {named}")
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                known |= {child.pid: child for child in one.children(recursive=True)}
        time.sleep(0.1)
    return kind


def living(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended may wait for its parent to hear of it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def half_written(folder: Path) -> list[str]:
    """Files that a writer leaves when it is killed."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.tmp"))


def running(folder: Path) -> int:
    """Runs that MLflow takes for alive."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as base:
        return int(base.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0])


def check_same(folder: Path, expected: Path) -> None:
    """Two projects hold the same results, nothing half-written, and no run that MLflow takes for alive."""
    found, known = (contents(one, "data", "reports") for one in (folder, expected))
    assert found.keys() == known.keys()
    assert [name for name in found if found[name] != known[name] and not name.startswith(NOT_KEPT)] == []
    assert (folder / "dvc.lock").read_bytes() == (expected / "dvc.lock").read_bytes()
    assert half_written(folder) == []
    assert running(folder) == 0


def contents(folder: Path, *parts: str) -> dict[str, bytes]:
    """Every file under these parts of a folder, by its path."""
    files = [file for part in parts for file in (folder / part).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
