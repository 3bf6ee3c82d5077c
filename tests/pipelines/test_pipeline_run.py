"""Runs of one `dvc repro` or experiment under one parent, however often it is killed, and what they read."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from laspa.params import Params, load_params
from pipelines.tracking import pipeline_run, tracked_run, ui
from pipelines.tracking import runs as tracking
from tests.made_up import write_tables

REPOSITORY = Path(__file__).parents[2]
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME")
# A stage: a run of its own, in the shell that DVC would start.
STAGE = """
import os, sys
from pathlib import Path
from laspa.params import load_params
from pipelines.tracking import runs
name, end = sys.argv[1:]
with runs.start_run(name, name, load_params(Path("params.yaml")).resolve("laspa"), last=end == "last") as run:
    print(run.run_id, flush=True)
    if end == "killed":
        os._exit(9)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracked_run.client_of(f"sqlite:///{file}").create_experiment("first")
    return file


@pytest.fixture
def root(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of git and DVC."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "mlflow.db").write_bytes(store.read_bytes())
    (folder / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(REPOSITORY / "params.yaml").resolve("laspa")


@pytest.fixture
def stage(root: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tracks a run as a stage of that name would in a process of its own; its id."""

    def track(name: str, last: bool = False) -> str:
        monkeypatch.setenv("DVC_STAGE", name)
        with tracking.start_run(name, name, params, watch=False, last=last) as run:
            pass
        return run.run_id or ""

    return track


def repro(*stages: tuple[str, str], **environment: str) -> list[str]:
    """Run stages as one process of DVC would, each in a shell of its own; the ids of their runs."""
    driver = (
        "import json, os, subprocess, sys\n"
        "for name, end in json.loads(sys.argv[1]):\n"
        "    subprocess.run([sys.executable, '-c', sys.argv[2], name, end],"
        " env={**os.environ, 'DVC_STAGE': name}, check=False)\n"
    )
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    command = [sys.executable, "-c", driver, json.dumps(stages), STAGE]
    ended = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout.split()


def stored() -> dict[str, Any]:
    """All runs by id."""
    client, experiment = tracking.open_store()
    return {run.info.run_id: run for run in client.search_runs([experiment])}


def parents(ids: list[str]) -> list[str]:
    found = stored()
    return [found[run_id].data.tags["mlflow.parentRunId"] for run_id in ids]


def test_the_runs_of_one_repro_are_nested_and_those_of_the_next_apart(stage: Any) -> None:
    first = [stage("train"), stage("ablate"), stage("report", last=True)]
    second = [stage("train"), stage("report", last=True)]
    assert len(set(parents(first))) == len(set(parents(second))) == 1
    assert parents(first)[0] != parents(second)[0]
    above = stored()[parents(first)[0]]
    assert above.info.status == "FINISHED"
    assert above.data.params["prefix_len"] == "8"
    assert len(stored()) == len(first) + len(second) + 2


def test_a_killed_repro_that_is_run_again_has_one_parent_and_leaves_no_run_open(root: Path) -> None:
    killed = repro(("train", "killed"))
    resumed = repro(("train", "last"))
    assert len(set(parents(killed + resumed))) == 1
    found = stored()
    assert found[killed[0]].info.status == "KILLED"
    assert {run.info.status for run in found.values()} == {"KILLED", "FINISHED"}
    above = found[parents(resumed)[0]]
    assert above.info.status == "FINISHED"
    assert above.info.run_name.startswith("repro ")


def test_other_params_are_another_pipeline_and_an_experiment_is_found_by_its_name(
    root: Path, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stage("train")
    file = root / "params.yaml"
    file.write_text(file.read_text().replace("prefix_len: 8", "prefix_len: 4"))
    second = stage("train")
    monkeypatch.setenv("DVC_EXP_NAME", "vague-noun")
    named = [stage("train"), stage("report")]
    assert len(set(parents([first, second, *named]))) == 3
    assert stored()[parents(named)[0]].info.run_name == "vague-noun"


def test_no_store_is_waited_for_and_the_run_is_made_once(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setattr(tracked_run, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(tracked_run, "LAST_RETRY_SECONDS", 0.1)
    fill, failures = tracking._fill, iter([True, True, True])

    def slow_and_away(*arguments: Any) -> None:
        time.sleep(1.5)  # as a server that answers no one
        if next(failures, False):
            raise ConnectionError("away")
        fill(*arguments)

    monkeypatch.setattr(tracking, "_fill", slow_and_away)
    began = time.monotonic()
    run = tracking.start_run("laspa", "train", params)
    run.log_metrics({"loss/total": 1.0}, 1)
    assert time.monotonic() - began < 1
    run.close("FINISHED")
    found = stored()
    assert len(found) == 2  # the run and its pipeline's
    assert found[run.run_id or ""].data.metrics["loss/total"] == 1.0
    assert "none was lost" in capsys.readouterr().err


def test_datasets_and_source_are_named(root: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(root, ("en", "es"))
    remote = "https://me:hunter2@git.example.org/laspa.git"
    subprocess.run(["git", "remote", "add", "origin", remote], check=True)
    monkeypatch.setattr(sys, "argv", [str(root / "pipelines/train.py")])
    with tracking.start_run("laspa", "train", params) as run:
        run.set_tag(tracking.MODEL_TAG, "ab")
    with tracking.run_of_model("ab", params):
        pass
    found = stored()[run.run_id or ""]
    inputs = {one.dataset.name: one.tags[0].value for one in found.inputs.dataset_inputs}
    assert inputs["manifest"] == "training"
    assert inputs["features"] == "training"
    assert inputs["trials/dev"] == "validation"
    assert all(len(one.dataset.digest) == 8 for one in found.inputs.dataset_inputs)
    assert found.data.tags["mlflow.source.name"] == "https://git.example.org/laspa#pipelines/train.py"
    assert found.data.tags["mlflow.source.type"] == "PROJECT"
    assert "hunter2" not in json.dumps(found.data.tags)


def test_the_environment_s_experiment_wins(
    root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with tracking.start_run("laspa", "train", params):
        pass
    client, experiment = tracking.open_store()
    assert client.get_experiment(experiment).name == "mine"


def test_the_page_of_runs_begins_with_the_eers(root: Path) -> None:
    link = ui.link("http://127.0.0.1:5000/", "1")
    assert link.endswith("/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=eer")
    columns = json.loads(ui.TAGS["mlflow.sharedViewState.eer"])["selectedColumns"]
    assert columns[0] == "metrics.`eer/cross_same`"
    assert len(json.dumps(ui.STATE)) < 5000  # MLflow's limit on a tag


def test_a_folder_s_name_may_have_what_uris_give_a_meaning_to(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = root.rename(root.with_name("a %41?b"))
    monkeypatch.chdir(strange)
    ids = repro(("train", "last"))
    assert [path.name for path in strange.parent.iterdir()] == [strange.name]  # nothing under a quoted name
    root.mkdir()  # read under a plain name, since this process keeps a store by its relative address
    (root / "mlflow.db").write_bytes((strange / "mlflow.db").read_bytes())
    monkeypatch.chdir(root)
    assert ids[0] in stored()


def test_outside_dvc_there_is_no_pipeline(root: Path) -> None:
    assert pipeline_run.this_pipeline() is None
