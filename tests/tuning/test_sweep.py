"""A real sweep under Ray: killed, resumed, and with trials that die, diverge and cannot even start."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from laspa.files import read_json
from pipelines.tracking.tracked_run import client_of
from tests.regression.tiny import set_params
from tests.tuning.tiny import make_tiny_sweep, start_tune

pytestmark = pytest.mark.services

EPOCHS = 30
DIVERGES, NO_MEMORY_HOLDS = 10**30, 10**13
TUNE = {
    "tune.space": {
        "train.learning_rate": {"choice": [0.006, DIVERGES]},
        "model.embedding_dim": {"choice": [16, 24, NO_MEMORY_HOLDS]},
    },
    "tune.sampler": "grid",
    "tune.trials": 6,
    "tune.epochs": EPOCHS,
    "tune.scheduler": "none",
    "tune.retries": 1,
    "tune.concurrent": 1,
}
PATIENCE_SECONDS = 600  # on a busy machine


class Sweep:
    """A sweep's folder, what its trials were when its driver was killed, and what it said in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: dict[int, dict[str, Any]] = {}
        self.killed = 0
        self.output = ""

    def trials(self) -> dict[int, dict[str, Any]]:
        """The journal, by number."""
        files = (self.folder / "data/.partial/tune/trials").glob("[!.]*.json")
        return {trial["number"]: trial for trial in map(read_json, files)}

    def epochs(self, number: int) -> int:
        """How many the trial has finished while it runs."""
        trial = self.trials().get(number, {})
        return len(trial["history"]) if trial.get("status") == "running" else 0

    def table(self) -> list[dict[str, Any]]:
        return read_json(self.folder / "reports/tune/trials.json")

    def runs(self) -> dict[str, Any]:
        """MLflow's runs by name; no name is there twice."""
        client = client_of(f"sqlite:///{self.folder / 'mlflow.db'}")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments)
        assert len({run.info.run_name for run in found}) == len(found)
        return {run.info.run_name: run for run in found}


def wait(driver: "subprocess.Popen[str]", until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_trials(driver: int) -> int:
    """Kill the processes of running trials, which have the name of Ray's actor; return their number."""
    killed = 0
    for process in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ImplicitFunc" in " ".join(process.cmdline()):
                process.kill()
                killed += 1
    return killed


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The driver is killed in trial 2, after trial 1; started again, then the process of trial 2 killed."""
    done = Sweep(make_tiny_sweep(tmp_path_factory.mktemp("sweep") / "project", TUNE))
    driver = start_tune(done.folder)
    wait(driver, lambda: done.epochs(2) > 1)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    done.before = done.trials()

    set_params(done.folder, {"tune.concurrent": 2})
    driver = start_tune(done.folder)
    wait(driver, lambda: done.epochs(2) > len(done.before[2]["history"]))
    done.killed = kill_trials(driver.pid)
    done.output, _ = driver.communicate(timeout=PATIENCE_SECONDS)
    assert driver.returncode == 0, done.output
    return done


def test_a_finished_trial_is_not_lost_with_the_driver(sweep: Sweep) -> None:
    assert sweep.before[1]["status"] == "finished"
    assert sweep.before[2]["status"] == "running"
    kept = [record["dev"] for record in sweep.before[1]["history"]]
    assert sweep.table()[0]["dev"] == kept
    assert "trial 1:" not in sweep.output  # it did not run again


def test_a_trial_whose_process_is_killed_goes_on_and_finishes(sweep: Sweep) -> None:
    assert sweep.killed
    second = sweep.table()[1]
    assert (second["status"], second["retries"], len(second["dev"])) == ("finished", 1, EPOCHS)
    begun = [record["dev"] for record in sweep.before[2]["history"]]
    assert second["dev"][: len(begun)] == begun
    assert "trial 2: its process ended early; started again" in sweep.output


def test_what_dies_each_time_or_diverges_fails_alone(sweep: Sweep) -> None:
    table = sweep.table()
    assert [trial["status"] for trial in table] == ["finished", "finished", *["failed"] * 4]
    assert "allocate memory" in table[2]["error"]
    assert table[2]["retries"] >= 1
    assert [trial["retries"] for trial in table[3:5]] == [0, 0]
    assert all("is nan in epoch 1" in trial["error"] for trial in table[3:5])


def test_mlflow_has_a_nested_run_for_each_trial_with_its_epochs_and_status(sweep: Sweep) -> None:
    runs = sweep.runs()
    assert set(runs) == {"sweep", *(f"trial {number}" for number in range(1, 7))}
    assert runs["sweep"].info.status == "FINISHED"
    client = client_of(f"sqlite:///{sweep.folder / 'mlflow.db'}")
    for trial in sweep.table():
        run = runs[f"trial {trial['trial']}"]
        assert run.data.tags["mlflow.parentRunId"] == runs["sweep"].info.run_id
        assert run.data.tags["laspa.trial_status"] == trial["status"]
        assert run.info.status == trial["status"].upper()
        logged = client.get_metric_history(run.info.run_id, "dev/eer_cross_same")
        assert [point.step for point in logged] == list(range(1, len(trial["dev"]) + 1))
        assert [point.value for point in logged] == [epoch["eer_cross_same"] for epoch in trial["dev"]]
    assert runs["trial 2"].data.params["model.embedding_dim"] == "24"
    assert runs["trial 2"].data.tags["laspa.retries"] == "1"


def test_the_end_leaves_the_outcome_and_no_states(sweep: Sweep) -> None:
    assert not (sweep.folder / "data/.partial/tune").exists()
    best = yaml.safe_load((sweep.folder / "reports/tune/best.yaml").read_text(encoding="utf-8"))
    assert best["train.learning_rate"] == 0.006
    assert not (sweep.folder / "data/trials/test.parquet").exists()  # it was never there to be read
