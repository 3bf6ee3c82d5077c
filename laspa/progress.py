"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LOG_EVERY_SECONDS = 15.0


def progress(items: Iterable[T], total: int, description: str, unit: str = "it") -> Iterator[T]:
    """Yield `items` while showing on standard error how many of `total` are done."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=description, unit=unit, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS and done < total:
            last = now
            rate = done / (now - start)
            left = (total - done) / rate
            message = f"{description}: {done}/{total} {unit}, {rate:.1f} {unit}/s, {left:.0f} s left"
            print(message, file=sys.stderr, flush=True)
    seconds = time.monotonic() - start
    print(f"{description}: {done}/{total} {unit} in {seconds:.1f} s", file=sys.stderr, flush=True)
