"""What docs/tracking.md promises of stores that are slow, refuse, or are set in a way that cannot work."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from pipelines.tracking import runs as tracking
from pipelines.tracking import tracked_run

REPOSITORY = Path(__file__).parents[2]
AT_ONCE_SECONDS = 0.5  # a thread may wait that long for a busy processor


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(REPOSITORY / "params.yaml").resolve("laspa")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database that MLflow has made."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        patch.setattr(tracking, "EXPERIMENT", "other")
        tracking.open_store()
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture(params=["plain", "50%20off", "what?x=1", "a#b", "O'Brien & Söhne"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path, database: bytes) -> Path:
    return prepared(tmp_path / request.param, database)


@pytest.fixture
def root(tmp_path: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = prepared(tmp_path / "project", database)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """No variables of the machine, and no thread that ends with a traceback."""
    names = ("TRACKING_URI", "EXPERIMENT_NAME", "TRUNCATE_LONG_VALUES", "ALLOW_FILE_STORE")
    for name in [*(f"MLFLOW_{name}" for name in names), "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"]:
        monkeypatch.delenv(name, raising=False)
    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    yield died
    assert not died


def prepared(folder: Path, database: bytes) -> Path:
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(database)
    return folder


def all_runs(folder: Path) -> list[tuple[str, str, str]]:
    """(experiment, name, status) of each run, read without MLflow."""
    with sqlite3.connect(folder / "mlflow.db") as base:
        rows = base.execute(
            "select e.name, r.name, r.status from runs r join experiments e using (experiment_id) order by 2"
        )
        return rows.fetchall()


def metrics(folder: Path, key: str) -> list[tuple[int, float]]:
    with sqlite3.connect(folder / "mlflow.db") as base:
        rows = base.execute("select step, value from metrics where key = ? order by step", [key])
        return rows.fetchall()


TRACK = """
from laspa.params import load_params
from pipelines.tracking.runs import start_run
with start_run("a", "train", load_params({params!r}).resolve("laspa")) as run:
    run.log_metrics({{"loss/total": 1.5}}, 1)
    run.log_artifacts("f.txt", "model")
"""


def test_a_checkout_may_have_any_name(checkout: Path) -> None:
    """In a process of its own: MLflow keeps a database open by its URI, relative to another folder or not."""
    (checkout / "f.txt").write_text("kept")
    program = TRACK.format(params=str(REPOSITORY / "params.yaml"))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert all_runs(checkout) == [("laspa", "a", "FINISHED")]
    assert metrics(checkout, "loss/total") == [(1, 1.5)]
    assert [file.read_text() for file in checkout.rglob("mlartifacts/**/f.txt")] == ["kept"]
    assert sorted(path.name for path in checkout.parent.iterdir()) == [checkout.name]


def test_a_param_that_the_store_refuses_costs_no_other_and_leaves_one_run(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    long = with_overrides(params, {"folder.paths": [f"/{'x' * 150}/{number}" for number in range(60)]})
    with tracking.start_run("a", "train", long) as run:
        run.log_metrics({"loss/total": 1.5}, 1)
    assert all_runs(root) == [("laspa", "a", "FINISHED")]
    assert metrics(root, "loss/total") == [(1, 1.5)]
    with sqlite3.connect(root / "mlflow.db") as base:
        kept = {key for (key,) in base.execute("select key from params")}
    assert kept == tracking.flat_params(long).keys() - {"folder.paths"}
    (refused,) = (line for line in capsys.readouterr().err.splitlines() if "refused" in line)
    assert "refused the param folder.paths" in refused


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:mlruns", "file:///tmp/mlruns"])
def test_a_folder_as_store_is_one_line_at_the_start(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(LaspaError, match=r"a folder, into which MLflow writes no more; name a database"):
        tracking.start_run("a", "train", params)
    assert not list(root.glob("mlruns*"))


def test_a_relative_database_is_that_of_the_checkout(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "mlflow.db").rename(root / "mine.db")
    workspace = root / ".dvc/tmp/exps/tmp1"
    workspace.mkdir(parents=True)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    with tracking.start_run("a", "train", params):
        pass
    (root / "mine.db").rename(root / "mlflow.db")
    assert all_runs(root) == [("laspa", "a", "FINISHED")]
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("name", ["voices", "Ann's `voices`; 50 %"])
def test_the_experiment_s_name_is_heeded(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    for _ in range(2):
        with tracking.start_run("a", "train", params):
            pass
    assert all_runs(root) == [(name, "a", "FINISHED")] * 2


def test_training_does_not_wait_for_a_store_that_is_slow(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tracking.open_store

    def open_store() -> Any:
        time.sleep(2.0)
        return real()

    monkeypatch.setattr(tracking, "open_store", open_store)
    began = time.monotonic()
    run = tracking.start_run("a", "train", params)
    for step in range(5):
        run.log_metrics({"loss/total": float(step)}, step)
    run.set_tag("laspa.other", "x")
    assert time.monotonic() - began < AT_ONCE_SECONDS
    run.close("FINISHED")
    assert metrics(root, "loss/total") == [(step, step) for step in range(5)]


def test_a_store_that_hangs_is_given_up_at_the_end(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    back = threading.Event()
    monkeypatch.setattr(tracked_run, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(tracking, "open_store", lambda: back.wait(30) and None)
    began = time.monotonic()
    with tracking.start_run("a", "train", params, watch=False) as run:
        run.log_metrics({"loss/total": 1.0}, 1)
    assert time.monotonic() - began < 5
    assert "2 records of this run are lost" in capsys.readouterr().err
    back.set()
    run._sender.join()


def test_a_run_whose_start_failed_half_way_is_continued(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracked_run, "RETRY_SECONDS", 0.0)
    real, fails = tracking.log_datasets, iter([True, True, False])

    def log_datasets(*arguments: Any) -> None:
        if next(fails):
            raise ConnectionError("cut off")
        real(*arguments)

    monkeypatch.setattr(tracking, "log_datasets", log_datasets)
    with tracking.start_run("a", "train", params) as run:
        run.log_metrics({"loss/total": 1.5}, 1)
    assert all_runs(root) == [("laspa", "a", "FINISHED")]
    assert metrics(root, "loss/total") == [(1, 1.5)]


def test_a_database_of_another_version_costs_a_warning(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "LOCAL_PATIENCE_SECONDS", 0.2)
    with sqlite3.connect(root / "mlflow.db") as base:
        base.execute("update alembic_version set version_num = 'cfd24bdc0731'")
    before = (root / "mlflow.db").read_bytes()
    with tracking.start_run("a", "train", params, watch=False) as run:
        run.log_metrics({"loss/total": 1.0}, 1)
    warnings = capsys.readouterr().err
    assert "does not take records" in warnings
    assert "out-of-date" in warnings
    assert (root / "mlflow.db").read_bytes() == before


def test_a_machine_whose_load_cannot_be_read_is_said_once(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Any) -> None:
        raise OSError("no such sensor")

    monkeypatch.setattr(tracked_run.TrackedRun, "_watch_machine", fail)
    with tracking.start_run("a", "train", params):
        pass
    assert capsys.readouterr().err.count("load is not tracked any more: no such sensor") == 1
    assert all_runs(root) == [("laspa", "a", "FINISHED")]
