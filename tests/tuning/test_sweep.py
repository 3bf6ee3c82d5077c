"""A sweep on a real Ray: killed and gone on with, a trial that fails, what MLflow and reports/ have of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from pipelines.sweep import ray_session
from tests.made_up import write_tables
from tests.regression.tiny import set_params

ROOT = Path(__file__).parents[2]
EPOCHS = 3
TINY = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "features.num_mels": 20,
    "train.batch_size": 8,
    "train.crop_seconds": 0.3,
    "train.epochs": 2,
    "train.device": "cpu",
    "tune.search": "grid",
    "tune.epochs": EPOCHS,
    "tune.grace_epochs": EPOCHS,
    "tune.concurrent": 2,
    "tune.confirm_seeds": [1],
    # A learning rate at which nothing is finite: that trial fails, and alone.
    "tune.space": {"train.learning_rate": [0.01, 0.02, 1e12]},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Params and the tables that a sweep reads: of the test split there is nothing."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    set_params(folder, TINY)
    write_tables(folder, languages=("de", "en"))
    return folder


def start(project: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.tune"],
        cwd=project,
        env={name: value for name, value in environment.items() if name != "RAY_ADDRESS"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended_trials(project: Path) -> set[str]:
    """Folders of trials that have reported their last epoch."""
    found = (project / "data/.partial/tune").glob("sweep-*/run_trial_*/result.json")
    return {path.parent.name for path in found if path.read_text().count("\n") >= EPOCHS}


@pytest.fixture(scope="module")
def swept(project: Path) -> tuple[str, set[str]]:
    """What the second run printed, and which trials had ended when the first was killed."""
    first = start(project)
    deadline = time.monotonic() + 240
    while not ended_trials(project) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    ended = ended_trials(project)
    if first.poll() is None:
        os.killpg(first.pid, signal.SIGKILL)
    output = first.communicate()[0]
    assert ended, output
    second = start(project)
    output = second.communicate(timeout=400)[0]
    assert second.returncode == 0, output
    return output, ended


def test_a_killed_sweep_goes_on_and_loses_no_trial_that_had_ended(project, swept):
    _, ended = swept
    (sweep,) = (project / "data/.partial/tune").glob("sweep-*")
    assert ended <= {path.name for path in sweep.glob("run_trial_*")}
    for name in ended:
        epochs = [
            json.loads(line)["epoch"] for line in (sweep / name / "result.json").read_text().splitlines()
        ]
        assert epochs == list(range(1, EPOCHS + 1))  # none was trained again


def test_the_table_and_the_best_params_are_written(project, swept):
    output, _ = swept
    table = pd.read_csv(project / "reports/tune/trials.csv")
    assert table["trial"].tolist() == [0, 1, 2, 3]
    assert table["train.learning_rate"].tolist() == [0.006, 0.01, 0.02, 1e12]
    assert table["status"].tolist() == ["finished"] * 3 + ["failed"]
    finished = table[table["status"] == "finished"]
    best = finished.loc[finished["eer"].idxmin(), "train.learning_rate"]
    assert (project / "reports/tune/best.yaml").read_text() == f"train.learning_rate: {best}\n"
    summary = json.loads((project / "reports/tune/summary.json").read_text())
    assert summary["trials"] == {"finished": 3, "failed": 1}
    assert len(summary["confirmation"]["best"]["values"]) == 1
    assert "<svg" in (project / "reports/tune/parallel.svg").read_text()
    assert f"dvc exp run -S train.learning_rate={best}" in output


def test_trials_are_nested_runs_with_their_status_and_epochs(project, swept):
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("laspa").experiment_id
    runs = client.search_runs([experiment])
    (sweep,) = [run for run in runs if run.info.run_name == "sweep"]
    assert sweep.info.status == "FINISHED"
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == sweep.info.run_id]
    by_number = {int(run.data.tags["laspa.trial"]): run for run in nested}
    assert len(nested) == 4
    assert {number: run.info.status for number, run in by_number.items()} == {
        0: "FINISHED",
        1: "FINISHED",
        2: "FINISHED",
        3: "FAILED",
    }
    history = client.get_metric_history(by_number[1].info.run_id, "dev/eer_cross_same")
    assert {metric.step for metric in history} == set(range(1, EPOCHS + 1))
    assert by_number[1].data.params["train.learning_rate"] == "0.01"
    assert by_number[1].data.tags["laspa.pruned"] == "false"


def test_what_no_node_has_is_said_before_any_trial():
    params = with_overrides(load_params(ROOT / "params.yaml"), {"tune.gpus": 64.0})
    message = r"tune\.gpus is 64 a trial but no node of the Ray cluster has more than \d+ GPU"
    with pytest.raises(LaspaError, match=message), ray_session(params):
        pass


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "'127.0.0.1:1' but nobody answers there (Connection refused)"),
        ("ray://127.0.0.1:1", "nobody answers there (Connection refused); start Ray there"),
        ("127.0.0.1:many", "expected host:port or ray://host:port"),
    ],
)
def test_an_address_without_ray_is_said_at_once(monkeypatch, address, message):
    monkeypatch.setenv("RAY_ADDRESS", address)
    begun = time.monotonic()
    with pytest.raises(LaspaError) as caught, ray_session(load_params(ROOT / "params.yaml")):
        pass
    assert message in str(caught.value)
    assert time.monotonic() - begun < 30
