"""SIGKILL at random moments of a pipeline, a sweep and enrolments: the same bytes, and nothing left over."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from laspa.files import read_json
from laspa.recogniser.store import Store
from tests.faults.conftest import Finished
from tests.faults.killing import check_same, contents, half_written, kill_at_random, running, start
from tests.faults.summary import keep
from tests.regression.tiny import run
from tests.tuning.tiny import make_tiny_sweep, tune

SEED = 1
PIPELINE_MOMENTS = int(os.environ.get("LASPA_PIPELINE_KILLS", "50"))
SWEEP_MOMENTS, STORE_MOMENTS = int(os.environ.get("LASPA_SWEEP_KILLS", "6")), 200
STAGES, LEAST_SECONDS = 14, 3.0  # of the pipeline; that a command takes to begin
DIMENSIONS = 192


def mend_locks(folder: Path) -> bool:
    """Whether a killed DVC left half of its file of locks; it is removed, which `make repro` does first."""
    file = folder / ".dvc/tmp/rwlock"
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        file.unlink()
        return True
    return False


@pytest.mark.faults
def test_a_pipeline_that_is_killed_gives_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    step = 1.5 * finished.seconds / STAGES + LEAST_SECONDS
    generator, kinds, rounds, ended, locks = np.random.default_rng(SEED), Counter[str](), 0, True, 0
    folder = tmp_path / "killed"
    while kinds.total() < PIPELINE_MOMENTS or not ended:
        if ended:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(finished.fresh, folder, symlinks=True)
        locks += mend_locks(folder)
        if kinds.total() < PIPELINE_MOMENTS:
            started = start(folder, "dvc", "repro")
            kind = kill_at_random(started, generator, step)
            kinds[kind] += kind != "ended"
            ended = kind == "ended"
            assert not ended or started.returncode == 0, (tmp_path / "output.log").read_text()[-4000:]
        else:
            run(folder, "dvc", "repro")
            ended = True
        if ended:
            rounds += 1
            check_same(folder, finished.folder)
    keep("pipeline_kills", moments=kinds.total(), rounds=rounds, half_written_locks=locks, **kinds)


@pytest.mark.faults
def test_a_sweep_that_is_killed_finds_the_same_best(tmp_path: Path) -> None:
    changes = {"tune.space": {"train.learning_rate": {"loguniform": [0.001, 0.01]}}, "tune.epochs": 8}
    changes |= {"tune.sampler": "random", "tune.scheduler": "none", "tune.concurrent": 1}
    reference = make_tiny_sweep(tmp_path / "reference", changes)
    folder = Path(shutil.copytree(reference, tmp_path / "killed"))
    began = time.monotonic()
    tune(reference)
    step = time.monotonic() - began
    generator, kinds = np.random.default_rng(SEED), Counter[str]()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    for _ in range(SWEEP_MOMENTS):
        kinds[kill_at_random(start(folder, "pipelines.tune"), generator, step, ("all", "first"))] += 1
    tune(folder)
    for one in (reference, folder):
        trials = read_json(one / "reports/tune/trials.json")
        assert {trial["status"] for trial in trials} == {"finished"}
    found, expected = (
        [trial | {"retries": 0} for trial in read_json(one / "reports/tune/trials.json")]
        for one in (folder, reference)
    )
    assert found == expected
    assert (
        contents(folder, "reports")["reports/tune/best.yaml"]
        == contents(reference, "reports")["reports/tune/best.yaml"]
    )
    assert half_written(folder) == []
    assert running(folder) == 0
    assert not (folder / "data/.partial/tune").exists()
    keep("sweep_kills", moments=kinds.total() - kinds["ended"], **kinds)


def enrol(path: Path, first: int, count: int) -> None:
    """Enrol many people, one after the other."""
    vectors = np.eye(DIMENSIONS, dtype=np.float32)
    store = Store(path, "m")
    for number in range(first, count):
        store.enrol([f"p{number:04}"], vectors[number % DIMENSIONS][None], [1])


def test_enrolments_that_are_killed_are_whole_or_were_not(tmp_path: Path) -> None:
    """Any process that is killed leaves a store that holds the first so many people, and the rest follow."""
    path, whole, count = tmp_path / "killed/people.parquet", tmp_path / "whole.parquet", 600
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "laspa.recogniser.store"])
    generator, killed, known = np.random.default_rng(SEED), 0, 0
    deadline = time.monotonic() + 60
    while killed < STORE_MOMENTS and known < count and time.monotonic() < deadline:
        writer = context.Process(target=enrol, args=(path, known, count))
        writer.start()
        writer.join(generator.uniform(0.0, 0.15))
        if writer.is_alive():
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
            killed += 1
        if path.exists():
            names = {
                match.name for match in Store(path, "m").identify(np.ones(DIMENSIONS, np.float32), count)
            }
            assert names == {f"p{number:04}" for number in range(len(names))}
            assert len(names) >= known
            known = len(names)
    assert killed
    enrol(path, known, count)
    enrol(whole, 0, count)
    assert path.read_bytes() == whole.read_bytes()
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".lock"] == [path.name]
    keep("enrolment_kills", moments=killed)
