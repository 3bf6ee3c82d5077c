"""The memory of benchmarks: the peak of this process, that of others by kind, and a limit for them."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

KIB_PER_GIB = 2**20
KIB_PER_MIB = 1024
KINDS = {"anonymous": "RssAnon", "file": "RssFile", "shared": "RssShmem"}  # names in /proc/PID/status
CGROUP = Path("/sys/fs/cgroup/memory")  # of version 1; a group of version 2 needs its parent's consent
Sample = dict[str, float]


def own_peak() -> float:
    """Most memory that this process has held, in GiB. `ru_maxrss` would start from that of its parent."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / KIB_PER_GIB if found else float("nan")


def resident(pid: int) -> Sample:
    """The resident memory of a process in MiB: its own pages, pages of files, shared memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {name: re.search(rf"{field}:\s+(\d+) kB", status) for name, field in KINDS.items()}
    return {name: int(match[1]) / KIB_PER_MIB for name, match in found.items() if match}


def watched(
    child: "subprocess.Popen[str]", every: float = 0.5
) -> tuple[list[dict[str, float]], dict[str, Sample]]:
    """Wait for a process; its memory over time, and the peaks of it and of each process that it starts.

    Returns:
        the curve, of `seconds` and MiB by kind; and by the process's name and number its peaks.
    """
    curve: list[dict[str, float]] = []
    peaks: dict[str, Sample] = {}
    start = time.monotonic()
    while child.poll() is None:
        for process in _family(child.pid):
            try:
                name = f"{''.join(process.cmdline()[:1]).rpartition('/')[2] or process.name()} {process.pid}"
                now = resident(process.pid)
            except (psutil.Error, OSError):
                continue
            if process.pid == child.pid:
                name = "self"
                curve.append({"seconds": round(time.monotonic() - start, 1), **now})
            peak = peaks.setdefault(name, dict.fromkeys(now, 0.0))
            for kind, value in now.items():
                peak[kind] = max(peak.get(kind, 0.0), value)
        time.sleep(every)
    return curve, peaks


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


@contextmanager
def memory_limit(gib: float) -> Iterator[Path | None]:
    """A memory cgroup of so many GiB, page cache included; None where there may be none (no root)."""
    group = CGROUP / f"laspa-scale-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(round(gib * 2**30)))
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()
