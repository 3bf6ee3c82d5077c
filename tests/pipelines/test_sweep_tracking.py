"""What MLflow says of trials that end in each way, and of a resumed sweep."""

from pathlib import Path
from typing import Any

import pytest

from laspa.params import load_params
from laspa.tuning.space import draw_trials
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, RUNNING, STOPPED, Trial
from pipelines.tracking.sweep_runs import SweepRuns
from pipelines.tracking.tracked_run import client_of

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "loss": 1.0 / epoch,
            "weighted": {},
            "gradient": {},
            "dev": {"eer_cross_same": 0.5 / epoch},
        }
        for epoch in range(1, epochs + 1)
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runs by name, after a driver that was lost in mid-sweep and another one that saw the end."""
    root = tmp_path_factory.mktemp("sweep")
    first, second, third, fourth, fifth = draw_trials(PARAMS)[:5]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.chdir(root)
        with SweepRuns(PARAMS, root / "partial") as lost:
            lost.update(Trial(1, "key1", first, FINISHED, history(3)))
            lost.update(Trial(2, "key2", second, RUNNING, history(2)))
        with SweepRuns(PARAMS, root / "partial") as shown:
            shown.update(Trial(1, "key1", first, FINISHED, history(3)))
            shown.update(Trial(2, "key2", second, RUNNING, history(3)))
            shown.update(Trial(2, "key2", second, PRUNED, history(4), retries=1))
            shown.update(Trial(3, "key3", third, FAILED, error="training: loss is nan in epoch 1, step 2"))
            shown.update(Trial(4, "key4", fourth, STOPPED, history(1)))
            shown.update(Trial(5, "key5", fifth, RUNNING))
            shown.update(Trial(5, "key5", fifth, FINISHED, history(3)))
        client = client_of(f"sqlite:///{root / 'mlflow.db'}")
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        found = {run.info.run_name: run for run in client.search_runs(ids)}
        assert len(client.search_runs(ids)) == len(found) == 6
        for run in found.values():
            logged = client.get_metric_history(run.info.run_id, "dev/eer_cross_same")
            run.steps = [point.step for point in logged]
        return found


def test_each_end_has_its_status_and_tag(runs: dict[str, Any]) -> None:
    statuses = {
        name: (run.info.status, run.data.tags.get("laspa.trial_status")) for name, run in runs.items()
    }
    assert statuses == {
        "sweep": ("FINISHED", None),
        "trial 1": ("FINISHED", "finished"),
        "trial 2": ("KILLED", "pruned"),
        "trial 3": ("FAILED", "failed"),
        "trial 4": ("KILLED", "stopped"),
        "trial 5": ("FINISHED", "finished"),
    }
    assert runs["trial 3"].data.tags["laspa.error"] == "training: loss is nan in epoch 1, step 2"


def test_trials_are_nested_and_carry_what_they_change(runs: dict[str, Any]) -> None:
    second = draw_trials(PARAMS)[1]
    for name, run in runs.items():
        parent = run.data.tags.get("mlflow.parentRunId")
        assert parent == (None if name == "sweep" else runs["sweep"].info.run_id)
    assert runs["trial 2"].data.params["aam_margin"] == str(second["aam_margin"])
    assert runs["trial 2"].data.params["train.epochs"] == str(PARAMS.tune.epochs)


def test_each_epoch_is_logged_once_whoever_drives(runs: dict[str, Any]) -> None:
    assert runs["trial 1"].steps == [1, 2, 3]
    assert runs["trial 2"].steps == [1, 2, 3, 4]
    assert runs["trial 3"].steps == []
