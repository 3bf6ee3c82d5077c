"""A tiny project that has run, made once for all parts of the campaign and all processes that run them."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from tests.regression.tiny import SMALLEST, make_tiny_project, run

SMALLER = SMALLEST | {"compare": ["laspa", "baseline"]}


class Finished(NamedTuple):
    """A project after `dvc repro`, the same project before it, and the seconds between."""

    folder: Path
    fresh: Path
    seconds: float

    def copy(self, target: Path) -> Path:
        """A copy to work in, without the cache: outputs are no links, and what they share is nothing."""
        shutil.copytree(
            self.folder, target, symlinks=True, ignore=shutil.ignore_patterns("cache", ".partial")
        )
        return target


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Finished:
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{place}.lock"):
        if not (place / "seconds").exists():
            fresh = make_tiny_project(place / "fresh", SMALLER)
            shutil.copytree(fresh, place / "project", symlinks=True)
            began = time.monotonic()
            run(place / "project", "dvc", "repro")
            (place / "seconds").write_text(str(time.monotonic() - began))
    return Finished(place / "project", place / "fresh", float((place / "seconds").read_text()))
