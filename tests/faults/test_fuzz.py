"""Every reader, given damaged files: a result or a one-line error, soon and in little memory."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.fuzz import SECONDS
from tests.faults.summary import keep

ROOT = Path(__file__).parents[2]
SEED, FEW, MANY = 1, 6, int(os.environ.get("LASPA_DAMAGED", "200"))


def fuzz(folder: Path, count: int) -> tuple[Counter[str], int]:
    """All readers, each with `count` damaged inputs: what came of them, and the number of readers.

    Raises:
        AssertionError: a fault, or a process that died or hung; says of which input.
    """
    command = [sys.executable, "-m", "tests.faults.fuzz", str(folder), str(SEED), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=3600
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, f"died at {lines[-1:]}: {ended.stderr[-2000:]}"
    faults = [line for line in lines if "good" in line]
    faults += [{"name": line["name"], **fault} for line in lines for fault in line.get("faults", [])]
    shown = [f"{fault.get('name')} {fault.get('trial')}: {fault['fault'][-600:]}" for fault in faults]
    assert not faults, "\n\n".join(shown[:10])
    outcomes = [line["outcomes"] for line in lines if "outcomes" in line]
    return sum(map(Counter, outcomes), Counter[str]()), len(outcomes)


def test_damaged_inputs(tmp_path: Path) -> None:
    outcomes, readers = fuzz(tmp_path, FEW)
    assert outcomes.total() == FEW * readers


@pytest.mark.faults
def test_many_damaged_inputs(tmp_path: Path) -> None:
    outcomes, readers = fuzz(tmp_path, MANY)
    keep("damaged_inputs", inputs=outcomes.total(), readers=readers, seconds_at_most=SECONDS, **outcomes)
