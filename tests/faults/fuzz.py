"""Damaged inputs for every reader: each gives a result or a one-line error, soon and in little memory.

Run by the tests in a process of its own, since what is read may kill it:
python -m tests.faults.fuzz FOLDER SEED COUNT [NAME]
"""

import contextlib
import io
import json
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laspa.errors import LaspaError
from tests.faults.inputs import Input, inputs

SECONDS, BYTES = 20, 2**30  # for one input; a busy machine reads a good one in up to 2 s
SEVERAL_LINES = {"params", "best.yaml"}  # all mistakes of a params file are told at once, a line each
TRICKS = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\r\n",
    b"\x85",
    b'"',
    b"'",
    b"\t",
    b",",
    b"{",
    b"[",
    b"&a",
    b"*a",
]
TRICKS += [
    b"1e400",
    b"-1",
    b"nan",
    b"9" * 400,
    b"[" * 3000,
    b"{" * 3000,
    b"a" * 70_000,
    b"null",
    b"..",
    b"/",
    b"%s",
]
TRICKS += [
    "\N{COMBINING ACUTE ACCENT}\N{RIGHT-TO-LEFT OVERRIDE}".encode(),
    b"\xed\xa0\x80",
    b"!!python/object:os.system",
]
INTEGERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF]


class Hung(BaseException):
    """A reader took longer than SECONDS. Not an Exception, which a reader may catch."""


def damaged(good: bytes, generator: np.random.Generator, text: bool) -> bytes:
    """`good` with one to four kinds of damage: what disks, networks, editors and enemies do."""
    content = bytearray(good)
    for _ in range(generator.integers(1, 5)):
        place = int(generator.integers(len(content) + 1))
        if generator.random() < 0.5:
            place = min(place, int(generator.integers(200)))  # heads say most
        kind = generator.integers(8)
        if kind == 0:
            del content[place:]
        elif kind == 1 and content:
            content[min(place, len(content) - 1)] ^= 1 << int(generator.integers(8))
        elif kind == 2:
            size = int(generator.choice([1, 2, 4, 8]))
            value = int(generator.choice(INTEGERS[:-1])) % 256**size
            content[place : place + size] = value.to_bytes(size, generator.choice(["little", "big"]))
        elif kind == 3:
            del content[place : place + int(generator.integers(1, 64))]
        elif kind == 4:
            content[place:place] = content[place : place + int(generator.integers(1, 300))]
        elif kind == 5:
            content[place:place] = generator.bytes(int(generator.integers(1, 40)))
        elif kind == 6 or text:
            content[place:place] = TRICKS[int(generator.integers(len(TRICKS)))]
        else:
            other = int(generator.integers(len(content) + 1))
            content[place : place + 50] = content[other : other + 50]
    return bytes(content)


def attempt(one: Input) -> str:
    """read or refused; or what is wrong."""

    def hang(*_: Any) -> None:
        raise Hung

    said = io.StringIO()
    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            one.read(one.file)
    except LaspaError as error:
        lines = (said.getvalue() if "refused by the command" in str(error) else str(error)).splitlines()
        return "refused" if len(lines) == 1 or one.name in SEVERAL_LINES else f"{len(lines)} lines: {lines}"
    except Hung:
        return f"no end in {SECONDS} s: {traceback.format_exc()[-1500:]}"
    except BaseException:
        return traceback.format_exc()[-1500:]
    finally:
        signal.alarm(0)
    return "read"


def main(folder: Path, seed: int, count: int, only: str = "") -> None:
    """Print a JSON line for each input with the outcomes and faults; the damaged file stays if it dies."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    everything = [one for one in inputs(folder) if only in one.name]
    good = {one.name: one.file.read_bytes() for one in everything}
    for one in everything:
        if (outcome := attempt(one)) != "read" and not one.name.startswith(
            "checkpoint"
        ):  # of no architecture
            print(json.dumps({"good": one.name, "fault": outcome}), flush=True)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, resource.RLIM_INFINITY))
    for number, one in enumerate(everything):
        generator = np.random.default_rng([seed, number])
        outcomes: Counter[str] = Counter()
        faults = []
        for trial in range(count):
            content = damaged(good[one.name], generator, one.text)
            one.file.write_bytes(content)
            print(json.dumps({"begins": one.name, "trial": trial}), flush=True)
            outcome = attempt(one)
            outcomes[outcome if outcome in ("read", "refused") else "fault"] += 1
            if outcome not in ("read", "refused"):
                faults.append({"trial": trial, "input": content[:200_000].hex(), "fault": outcome})
        one.file.write_bytes(good[one.name])
        print(json.dumps({"name": one.name, "outcomes": outcomes, "faults": faults[:20]}), flush=True)


if __name__ == "__main__":
    place, *numbers = sys.argv[1:4]
    main(Path(place), *map(int, numbers), *sys.argv[4:5])
