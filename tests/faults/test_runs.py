"""Runs under odd circumstances that end in the same bytes: two at once, a clock that jumps, DVC's copies."""

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.faults.killing import check_same, start
from tests.faults.summary import keep
from tests.regression.tiny import run

pytestmark = pytest.mark.faults


def test_two_repros_at_once_give_one_result(finished: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.fresh, tmp_path / "project", symlinks=True))
    both = [start(folder, "dvc", "repro") for _ in range(2)]
    ended = sorted(one.wait(1800) for one in both)
    said = (tmp_path / "output.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in said, said[-4000:]
    assert ended[0] == 0 or "lock" in said, said[-4000:]
    run(folder, "dvc", "repro")
    check_same(folder, finished.folder)
    keep("two repros at once", statuses=ended)
