"""What MLflow has of a sweep of eight trials at once on SQLite, and of one whose server went away."""

from pathlib import Path
from typing import Any

import pytest

from laspa.files import read_json
from pipelines.tracking.tracked_run import client_of
from tests import servers
from tests.tuning.test_sweep import PATIENCE_SECONDS, Sweep, wait
from tests.tuning.tiny import make_tiny_sweep, start_tune, tune

pytestmark = pytest.mark.services

AT_ONCE = 8
EPOCHS_AWAY = 10  # that go by while the server is away


def check_every_epoch(folder: Path, uri: str, trials: int) -> None:
    """Each trial's run has each epoch once, as reports/tune has it."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("laspa")
    assert experiment is not None
    runs = {run.info.run_name: run.info for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"sweep", *(f"trial {number}" for number in range(1, trials + 1))}
    assert {run.status for run in runs.values()} == {"FINISHED"}
    table = read_json(folder / "reports/tune/trials.json")
    assert len(table) == trials
    for trial in table:
        history = client.get_metric_history(runs[f"trial {trial['trial']}"].run_id, "dev/eer_cross_same")
        assert [(point.step, point.value) for point in history] == [
            (epoch, rates["eer_cross_same"]) for epoch, rates in enumerate(trial["dev"], start=1)
        ]


def test_eight_trials_at_once_on_sqlite(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "tune.trials": AT_ONCE,
        "tune.concurrent": AT_ONCE,
        "tune.cpus": 0.25,
        "tune.epochs": 1,
        "tune.scheduler": "none",
    }
    folder = make_tiny_sweep(tmp_path / "project", changes)
    output = tune(folder)
    assert "locked" not in output
    assert "does not take records" not in output
    assert f"{AT_ONCE} of {AT_ONCE} trials ended" in output
    check_every_epoch(folder, f"sqlite:///{folder / 'mlflow.db'}", AT_ONCE)


def test_a_server_that_is_away_in_mid_sweep_loses_no_metric(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "tune.space": {"prefix_len": {"choice": [2, 4]}},
        "tune.sampler": "grid",
        "tune.epochs": 40,
        "tune.scheduler": "none",
        "tune.concurrent": 2,
    }
    sweep = Sweep(make_tiny_sweep(tmp_path / "project", changes))
    store, artifacts, port = (
        f"sqlite:///{tmp_path / 'server.db'}",
        (tmp_path / "kept").as_uri(),
        servers.free_port(),
    )
    with servers.mlflow(store, artifacts, port) as url:
        driver = start_tune(sweep.folder, MLFLOW_TRACKING_URI=url)
        wait(driver, lambda: sweep.epochs(1) > 1)
        before = sweep.epochs(1)
    wait(driver, lambda: sweep.epochs(1) >= before + EPOCHS_AWAY)
    with servers.mlflow(store, artifacts, port) as url:
        output, _ = driver.communicate(timeout=PATIENCE_SECONDS)
        assert driver.returncode == 0, output
        assert "does not take records" in output
        assert "none was lost" in output
        assert "are lost there" not in output
        check_every_epoch(sweep.folder, url, 2)
