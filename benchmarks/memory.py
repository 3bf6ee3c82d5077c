"""The peak memory of a benchmark that runs in its own process."""

import re
from pathlib import Path

KIB_PER_GIB = 2**20


def own_peak() -> float:
    """Most memory that this process has held, in GiB. `ru_maxrss` would start from that of its parent."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / KIB_PER_GIB if found else float("nan")
