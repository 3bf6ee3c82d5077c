"""Stages on a full disk, and in folders that may not be written: one line, nothing half-written."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.killing import contents, half_written, start
from tests.faults.summary import keep
from tests.faults.test_kills import SMALLER, TIMED
from tests.regression.tiny import FOREIGN_VARIABLES, make_tiny_project, run

pytestmark = pytest.mark.faults

SEED, WRITES = 1, int(os.environ.get("LASPA_FULL_DISKS", "20"))
# The stages, with what they write.
STAGES = {
    "download": ["data/raw"],
    "manifest": ["data/manifest.parquet", "data/skipped.csv"],
    "trials": ["data/trials"],
    "features": ["data/features"],
    "resolve": ["data/systems"],
    "train baseline": ["data/trained/baseline", "data/history/baseline.json"],
    "evaluate baseline": ["data/evaluation/baseline"],
    "model": ["data/model"],
    "report": ["reports"],
}
NOBODY = 65534


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A project that has run, in a folder that other users can enter."""
    with tempfile.TemporaryDirectory(prefix="laspa-faults-") as place:
        Path(place).chmod(0o755)
        folder = make_tiny_project(Path(place) / "project", SMALLER)
        run(folder, "dvc", "repro")
        # DVC links outputs to its cache, read-only; a stage finds them as it wrote them.
        shutil.rmtree(folder / ".dvc/cache")
        shutil.rmtree(folder / "data/.partial", ignore_errors=True)
        yield folder


def stage(folder: Path, name: str, largest: int | None = None, user: int | None = None) -> tuple[int, str]:
    """Run a stage's script; its status and output.

    Args:
        largest: bytes of a file, beyond which a write fails as on a full disk. user: that runs it.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_VARIABLES)}

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    ended = subprocess.run(
        [sys.executable, "-m", *f"pipelines.{name}".split()],
        cwd=folder,
        env=kept | {"PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        user=user,
        preexec_fn=limit,
        timeout=900,
    )
    return ended.returncode, ended.stdout


def remove(folder: Path, name: str) -> None:
    """What DVC does before it runs a stage."""
    for part in STAGES[name]:
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def check_refused(status: int, said: str) -> None:
    """One line says what is wrong, besides warnings and progress."""
    assert status == 1, said
    assert "Traceback" not in said, said
    assert sum(line.startswith("error: ") for line in said.splitlines()) == 1, said


def test_a_full_disk_is_one_line_and_the_next_run_mends_it(project: Path) -> None:
    generator, refused = np.random.default_rng(SEED), Counter[str]()
    for _ in range(WRITES):
        name = str(generator.choice(list(STAGES)))
        expected = contents(project, *STAGES[name]) | {
            part: (project / part).read_bytes() for part in STAGES[name] if (project / part).is_file()
        }
        largest = max(map(len, expected.values()))
        remove(project, name)
        status, said = stage(project, name, int(np.exp(generator.uniform(0, np.log(largest)))))
        check_refused(status, said)
        assert half_written(project) == []
        assert [part for part in STAGES[name] if (project / part).is_dir() and part != "reports"] == [], said
        status, said = stage(project, name)
        assert status == 0, said
        found = contents(project, *STAGES[name]) | {
            part: (project / part).read_bytes() for part in STAGES[name] if (project / part).is_file()
        }
        assert found == expected
        refused[name.split()[0]] += 1
    keep("full disks", writes=refused.total(), stages=dict(refused))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a stage as a user who may not write")
def test_a_folder_that_may_not_be_written_is_one_line(project: Path) -> None:
    for name in STAGES:
        before = contents(project, "data", "reports")
        status, said = stage(project, name, user=NOBODY)
        check_refused(status, said)
        assert "denied" in said
        assert contents(project, "data", "reports") == before
    keep("folders that may not be written", stages=len(STAGES))


def test_two_repros_at_once_give_one_result(tmp_path: Path) -> None:
    folder = make_tiny_project(tmp_path / "project", SMALLER)
    reference = Path(shutil.copytree(folder, tmp_path / "reference", symlinks=True))
    run(reference, "dvc", "repro")
    both = [start(folder, "dvc", "repro") for _ in range(2)]
    ended = [one.wait(1800) for one in both]
    said = (tmp_path / "output.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in said, said[-4000:]
    assert 0 in ended or "lock" in said
    run(folder, "dvc", "repro")
    one, other = (contents(place, "data", "reports") for place in (folder, reference))
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name] and not name.startswith(TIMED)] == []
    assert (folder / "dvc.lock").read_bytes() == (reference / "dvc.lock").read_bytes()
    keep("two repros at once", statuses=ended)
