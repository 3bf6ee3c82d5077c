"""Runs under odd circumstances that end in the same bytes: two at once, a clock that jumps, DVC's copies."""

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import Finished
from tests.faults.killing import check_same, start
from tests.faults.summary import keep
from tests.regression.tiny import run

pytestmark = pytest.mark.faults

CLOCK = Path(__file__).with_name("jumping_clock")
QUEUE_SECONDS = 900


def test_two_repros_at_once_give_one_result(finished: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.fresh, tmp_path / "project", symlinks=True))
    both = [start(folder, "dvc", "repro") for _ in range(2)]
    ended = [one.wait() for one in both]
    said = (tmp_path / "output.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in said, said[-4000:]
    assert 0 in ended, said[-4000:]
    assert ended == [0, 0] or "lock" in said, said[-4000:]
    run(folder, "dvc", "repro")
    check_same(folder, finished.folder)
    keep("two_repros", runs=len(ended), statuses=sorted(ended))


def test_a_clock_that_jumps_changes_nothing(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(finished.fresh, tmp_path / "project", symlinks=True))
    monkeypatch.setenv("PYTHONPATH", str(CLOCK))
    program = "import json, time; print(json.dumps([time.time() for _ in range(9)]))"
    times = json.loads(run(folder, "python", "-c", program).stdout)
    assert min(times) + 3600 < max(times)
    said = run(folder, "dvc", "repro").stdout
    assert "Traceback" not in said
    check_same(folder, finished.folder)
    keep("jumping_clock", stages=said.count("Running stage"))


def test_a_path_param_means_the_same_in_place_in_a_copy_and_in_the_queue(
    finished: Finished, tmp_path: Path
) -> None:
    """The model to start from lies in the checkout and not in git, so that no copy has it."""
    folder = Path(shutil.copytree(finished.folder, tmp_path / "project", symlinks=True))
    (folder / "pre").mkdir()
    shutil.copytree(folder / "data/trained/laspa", folder / "pre/model", symlinks=True)
    (folder / "pre/.gitignore").write_text("*\n")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "Results")
    changes = ["train.resume=weights-only", "train.weights_from=pre/model", "train.epochs=1"]
    settings = [word for change in changes for word in ("-S", change)]
    for name, way in (("copied", ["--temp"]), ("queued", ["--queue"]), ("placed", [])):
        # Else DVC would take what the run before it made.
        shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
        run(folder, "dvc", "exp", "run", *way, "--name", name, *settings, "train@laspa")
        if name == "queued":
            run(folder, "dvc", "queue", "start")
            ends = time.monotonic() + QUEUE_SECONDS
            while "Success" not in (status := run(folder, "dvc", "queue", "status").stdout):
                assert "Failed" not in status, run(folder, "dvc", "queue", "logs", name, check=False).stdout
                assert time.monotonic() < ends, status
                time.sleep(1)
            run(folder, "dvc", "queue", "stop", "--kill")
    refs = run(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    made = {ref: trained(folder, ref) for ref in refs if ref.endswith(("/copied", "/queued", "/placed"))}
    assert len(made) == 3, refs
    assert len(set(made.values())) == 1, made
    assert trained(folder, "HEAD") not in made.values()
    keep("path_params", runs=len(made))


def trained(folder: Path, revision: str) -> str:
    """The digest of the trained model in dvc.lock of a commit."""
    lock = yaml.safe_load(run(folder, "git", "show", f"{revision}:dvc.lock").stdout)
    (digest,) = [out["md5"] for out in lock["stages"]["train@laspa"]["outs"] if "trained" in out["path"]]
    return str(digest)
