"""Tracking: what a run carries, one store for all workspaces, and stores that fail."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from laspa.params import Params, load_params, with_overrides
from laspa.redaction import without_credentials
from pipelines.tracking import metrics, tracked_run
from pipelines.tracking import runs as tracking

REPOSITORY = Path(__file__).parents[2]


WORKERS, STEPS = 3, 20


@pytest.fixture(scope="session")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which several processes began at once, none finding a database."""
    folder = tmp_path_factory.mktemp("store")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=log_one_run, args=(str(index), folder)) for index in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    return folder


def log_one_run(name: str, folder: Path) -> None:
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    with tracking.start_run(name, "train", load_params(REPOSITORY / "params.yaml").resolve("laspa")) as run:
        for step in range(STEPS):
            run.log_metrics({"loss/total": float(step)}, step)


@pytest.fixture
def root(tmp_path: Path, raced: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root as working directory, with a database of its own."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mlflow.db").write_bytes((raced / "mlflow.db").read_bytes())
    monkeypatch.setattr(tracking, "EXPERIMENT", "empty")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(REPOSITORY / "params.yaml").resolve("laspa")


def stored(root: Path, run_id: str | None) -> Any:
    client = tracked_run.client_of(f"sqlite:///{root / 'mlflow.db'}")
    return client.get_run(run_id or "")


def children(root: Path, run_id: str) -> list[str]:
    client = tracked_run.client_of(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return sorted(run.info.run_name for run in found)


def test_a_run_carries_params_metrics_tags_and_files(root: Path, params: Params) -> None:
    (root / "data/model").mkdir(parents=True)
    (root / "data/model/config.json").write_text("{}")
    with tracking.start_run(
        "laspa", "train", with_overrides(params, {"prefix_len": 16}), {"laspa.system": "laspa"}
    ) as run:
        run.log_metrics({"loss/aam": 3.5, "loss/grl": None}, step=1)
        run.log_metrics({"loss/aam": 2.5}, step=2)
        run.log_artifacts("data/model", "model")
    found = stored(root, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["prefix_len"] == "16"
    assert found.data.params["loss_weights.nll"] == "0.5"
    assert not any(name.startswith("ablate") for name in found.data.params)
    assert found.data.metrics["loss/aam"] == 2.5
    assert "loss/grl" not in found.data.metrics
    assert found.data.metrics["system/cpu_utilization_percentage"] >= 0
    assert found.data.tags["laspa.kind"] == "train"
    assert found.data.tags["laspa.system"] == "laspa"
    assert list((root / "mlartifacts").rglob("model/config.json"))


def test_the_runs_of_an_experiment_are_in_one_of_its_name(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "vague-noun")
    monkeypatch.setenv("DVC_STAGE", "train")
    for kind in ("train", "ablate"):
        with tracking.start_run("laspa", kind, params) as run:
            pass
    above = stored(root, stored(root, run.run_id).data.tags["mlflow.parentRunId"])
    assert above.info.run_name == "vague-noun"
    assert children(root, above.info.run_id) == ["laspa", "laspa"]


def test_the_block_s_end_gives_the_status(root: Path, params: Params) -> None:
    runs = []
    for error in (ValueError, KeyboardInterrupt):
        try:
            with tracking.start_run("x", "train", params) as run:
                runs.append(run)
                raise error
        except error:
            continue
        pytest.fail("the exception was swallowed")
    assert [stored(root, run.run_id).info.status for run in runs] == ["FAILED", "KILLED"]


def test_evaluation_goes_into_the_newest_run_of_its_model(root: Path, params: Params) -> None:
    for _ in range(2):
        with tracking.start_run("laspa", "train", params) as trained:
            trained.set_tag(tracking.MODEL_TAG, "ab12")
    with tracking.run_of_model("ab12", params) as run:
        run.log_metrics({"eer/all": 0.1})
    assert run.run_id == trained.run_id
    found = stored(root, run.run_id)
    assert found.data.metrics["eer/all"] == 0.1
    assert found.info.status == "FINISHED"
    with tracking.run_of_model("other", params) as other:
        pass
    assert other.run_id != trained.run_id
    assert stored(root, other.run_id).data.params["prefix_len"] == str(params.prefix_len)


def test_nested_runs_name_their_parent(root: Path, params: Params) -> None:
    with tracking.start_run("sweep", "tune", params) as parent:
        child = tracking.start_run("trial", "tune", params, parent=parent)
        with child as nested:
            pass
    assert stored(root, nested.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_temporary_experiments_share_the_database(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = root / ".dvc/tmp/exps/tmp1"
    workspace.mkdir(parents=True)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-name")
    with tracking.start_run("laspa", "train", params) as run:
        pass
    assert stored(root, run.run_id).data.tags["DVC_EXP_NAME"] == "brave-name"
    assert list(workspace.iterdir()) == []


def test_the_environment_s_store_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking.tracking_uri() == f"sqlite:///{root / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert tracking.tracking_uri() == "http://elsewhere:5000"


def test_code_and_data_are_named(root: Path, params: Params) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x"]
    (root / "code.py").write_text("1")
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (root / "data/features").mkdir(parents=True)
    table = pa.table({"utterance_id": ["a"]}).replace_schema_metadata({"laspa.digest": "fe"})
    pq.write_table(table, root / "data/features/part-00000.parquet")
    with tracking.start_run("laspa", "train", params) as clean:
        pass
    (root / "code.py").write_text("2")
    with tracking.start_run("laspa", "train", params) as dirty:
        pass
    tags = stored(root, clean.run_id).data.tags
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["laspa.features_digest"] == "fe"
    assert tags["laspa.git_dirty"] == "false"
    assert stored(root, dirty.run_id).data.tags["laspa.git_dirty"] == "true"


def test_a_process_killed_without_a_word_does_not_run_for_ever(root: Path, params: Params) -> None:
    code = (
        "import os, sys\nfrom laspa.params import load_params\n"
        "from pipelines.tracking import runs\nruns.EXPERIMENT = 'empty'\n"
        f"params = load_params({str(REPOSITORY / 'params.yaml')!r}).resolve('laspa')\n"
        "with runs.start_run('victim', 'train', params) as run:\n"
        "    print(run.run_id, flush=True)\n    os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    victim = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    victim_id = victim.stdout.strip()
    assert stored(root, victim_id).info.status == "RUNNING"
    with tracking.start_run("next", "train", params) as run:
        assert stored(root, run.run_id).info.status == "RUNNING"
    assert stored(root, victim_id).info.status == "KILLED"


def test_a_run_that_ends_while_another_begins_keeps_its_status(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tracking.start_run("first", "train", params)
    run_id = first.__enter__().run_id

    def ends_just_then(*_: str) -> bool:
        first.__exit__(None, None, None)
        return False

    monkeypatch.setattr(tracking, "_alive", ends_just_then)
    with tracking.start_run("next", "train", params):
        pass
    assert stored(root, run_id).info.status == "FINISHED"


@pytest.mark.usefixtures("root")
def test_nothing_is_lost_while_the_store_is_away(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracked_run, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(tracked_run, "SYSTEM_METRICS_SECONDS", 3600.0)
    real, away = tracking.open_store, True

    def open_store() -> Any:
        if away:
            raise ConnectionError("http://me:hunter2@server:5000 refused")
        return real()

    monkeypatch.setattr(tracking, "open_store", open_store)
    with tracking.start_run("laspa", "train", params) as run:
        for step in (1, 2):
            run.log_metrics({"loss/total": 1.0 / step}, step)
        assert run.run_id is None
        away = False
        run.log_metrics({"loss/total": 0.25}, 3)
    client = tracked_run.client_of(tracking.tracking_uri())
    history = client.get_metric_history(run.run_id or "", "loss/total")
    assert [(entry.step, entry.value) for entry in history] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    warnings = capsys.readouterr().err
    assert warnings.count("does not take records") == 1
    assert "takes records again" in warnings
    assert "hunter2" not in warnings


def test_a_server_that_never_comes_back_costs_a_warning(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr(tracking, "SERVER_PATIENCE_SECONDS", 0.2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracking.start_run("laspa", "train", params) as run:
        run.log_metrics({"loss/total": 1.0}, 1)
    assert run.run_id is None
    assert "did not come back" in capsys.readouterr().err


def test_a_record_that_the_store_refuses_does_not_block_the_others(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracking.start_run("laspa", "train", params) as run:
        run.set_tag("n" * 1000, "too long a name")
        run.log_metrics({"loss/total": 1.0})
        run.log_artifacts("no/such/file")
    found = stored(root, run.run_id)
    assert found.data.metrics["loss/total"] == 1.0
    assert found.info.status == "FINISHED"
    error = capsys.readouterr().err
    assert "refused a record" in error
    assert "no/such/file" in error


def test_processes_that_begin_at_once_share_one_new_database(
    raced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{raced / 'mlflow.db'}")
    client, experiment = tracking.open_store()
    runs = client.search_runs([experiment])
    assert sorted(run.info.run_name for run in runs) == [str(index) for index in range(WORKERS)]
    assert all(run.data.metrics["loss/total"] == STEPS - 1 and run.info.status == "FINISHED" for run in runs)
    assert all(len(client.get_metric_history(run.info.run_id, "loss/total")) == STEPS for run in runs)


def test_names_of_metrics() -> None:
    record = {
        "epoch": 3,
        "loss": 2.0,
        "aam": 1.5,
        "grl": None,
        "weighted": {"aam": 3.0},
        "gradient": {"aam": 0.7},
        "attention": {"speaker": 0.2},
        "dev": {"eer_all": 0.1},
    }
    named = metrics.epoch_metrics(record)
    assert named["step"] == 3
    present = {name: value for name, value in named["metrics"].items() if value is not None}
    assert present == {
        "loss/total": 2.0,
        "loss/aam": 1.5,
        "weighted/aam": 3.0,
        "gradient/aam": 0.7,
        "attention/speaker": 0.2,
        "dev/eer_all": 0.1,
    }
    result = {
        "conditions": {"cross_same": {"eer": 0.2, "min_dcf_01": 0.9, "trials": 100}},
        "unseen": {"all": {"eer": 0.3}},
        "mapc": None,
        "language_probe_accuracy": 0.4,
    }
    flat = {name: value for name, value in metrics.evaluation_metrics(result).items() if value is not None}
    assert flat == {
        "eer/cross_same": 0.2,
        "min_dcf_01/cross_same": 0.9,
        "unseen/eer/all": 0.3,
        "language_probe_accuracy": 0.4,
    }


def test_inspections_have_names_of_their_own() -> None:
    known, unknown = {"accuracy": 0.4, "chance": 0.1}, {"accuracy": None, "chance": None}
    probes = {"language_linear": known, "language_mlp": known, "speaker": unknown}
    found = metrics.analysis_metrics(
        probe={"speaker": {**probes, "variance": {"language": 0.1}}},
        detail={
            "cosine": {"all": {"all": {"cllr": 0.6, "eer": 0.2}}, "condition": {"cross_same": None}},
            "as_norm": {"all": {"all": {"eer": 0.19, "cllr": None}}, "condition": {}},
        },
        gradients={"language_encoder": {"mse": 0.5}},
        attention={},
    )
    assert {name: value for name, value in found.items() if value is not None} == {
        "probe/speaker/language_linear": 0.4,
        "probe/speaker/language_mlp": 0.4,
        "variance/speaker/language": 0.1,
        "gradient/language_encoder/mse": 0.5,
        "cllr/all": 0.6,
        "as_norm/eer/all": 0.19,
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:secret@host/path?x=1", "https://host/path?x=1"),
        ("s3://bucket/key?access_token=abc&x=1", "s3://bucket/key?access_token=…&x=1"),
        ("postgresql://u:p%40@db:5432/m failed", "postgresql://db:5432/m failed"),
        ("https://host/x?mail=me@host", "https://host/x?mail=me@host"),
        ("user@host and /a/path", "user@host and /a/path"),
    ],
)
def test_credentials_are_taken_out(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


def test_no_secret_reaches_the_tags(root: Path, params: Params) -> None:
    with tracking.start_run("laspa", "train", params, {"laspa.source": "https://me:hunter2@host/x"}) as run:
        run.set_tag("laspa.other", "https://me:hunter2@host/y")
    data = stored(root, run.run_id).data
    assert "hunter2" not in json.dumps([data.tags, data.params])
