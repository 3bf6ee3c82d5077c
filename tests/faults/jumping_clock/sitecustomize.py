"""A clock that jumps back and forth by up to a month; Python imports this first where it is on PYTHONPATH.

Only the clock of dates jumps, as when a machine's time is set; the monotonic clock does not.
"""

import itertools
import time

JUMPS = itertools.cycle([0, 3600, -86_400, 5, -1, 2_600_000, -7200, 0, -2_600_000])  # seconds
NANOSECONDS = 10**9
real = time.time_ns


def time_ns() -> int:
    return real() + next(JUMPS) * NANOSECONDS


time.time_ns = time_ns
time.time = lambda: time_ns() / NANOSECONDS
