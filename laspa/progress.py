"""Progress of long work: a bar on a terminal, a line every 15 seconds in a log."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from laspa.files import in_bytes

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
            _log(f"{description}: {done}/{total} {unit}, {rate:.1f} {unit}/s, {left:.0f} s left")
    _log(f"{description}: {done}/{total} {unit} in {time.monotonic() - start:.1f} s")


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


class ByteProgress:
    """Bytes done of a total that may still grow, with speed and time left; safe to call from any thread."""

    def __init__(self, total: int, description: str) -> None:
        self._lock = threading.Lock()
        self._description = description
        self._start = self._last = time.monotonic()
        self._done_at_last = 0
        self.total, self.done = total, 0
        self._bar = None
        if sys.stderr.isatty():
            options = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "dynamic_ncols": True}
            self._bar = tqdm(total=total, desc=description, **options)

    def grow(self, by: int) -> None:
        """Add `by` bytes to the total."""
        with self._lock:
            self.total += by
            if self._bar is not None:
                self._bar.total = self.total

    def advance(self, count: int) -> None:
        """Add `count` bytes to those done; a negative number takes bytes back."""
        with self._lock:
            self.done += count
            if self._bar is not None:
                self._bar.update(count)
                return
            seconds = time.monotonic() - self._last
            if seconds >= LOG_EVERY_SECONDS:
                speed = max(self.done - self._done_at_last, 1) / seconds  # since the last line
                self._last, self._done_at_last = self._last + seconds, self.done
                of = f"{in_bytes(self.done)} of {in_bytes(self.total)}, {in_bytes(speed)}/s"
                _log(f"{self._description}: {of}, {(self.total - self.done) / speed:.0f} s left")

    def close(self) -> None:
        """End the bar, or print what was done."""
        if self._bar is not None:
            self._bar.close()
        else:
            seconds = time.monotonic() - self._start
            _log(f"{self._description}: {in_bytes(self.done)} in {seconds:.1f} s")
