"""The whole pipeline on a tiny corpus, as a user runs it: repro, repro again, experiments, other corpora.

All tests share one run of the tiny project, and work in copies of it where they change something.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from laspa.files import read_json
from tests.regression.tiny import SMALLEST, make_tiny_project, run, set_params

UP_TO_DATE = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project after its first `dvc repro`, committed as a user would."""
    folder = make_tiny_project(tmp_path_factory.mktemp("pipeline") / "project", SMALLEST)
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "dvc.lock", "reports")
    run(folder, "git", "commit", "-q", "-m", "The first results")
    return folder


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def tracked_runs(folder: Path, prefix_len: int) -> list[Any]:
    """Finished runs of that prefix length that were trained and evaluated, in the project's own database."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"params.prefix_len = '{prefix_len}'")
    return [
        run
        for run in found
        if run.info.status == "FINISHED" and any("eer" in name for name in run.data.metrics)
    ]


def test_the_first_run_leaves_what_it_promises(project: Path) -> None:
    metrics, summary = (read_json(project / "reports" / name) for name in ("metrics.json", "summary.json"))
    assert set(metrics["conditions"]) == {"all", "cross_cross", "cross_same", "same_cross", "same_same"}
    for condition in metrics["conditions"].values():
        assert 0 <= condition["eer_low"] <= condition["eer"] <= condition["eer_high"] <= 1
        assert 0 < condition["targets"] < condition["trials"]
    assert set(summary["systems"]) == {"baseline", "laspa", "laspa_plus"}
    page = (project / "reports" / "index.html").read_text(encoding="utf-8")
    assert "</html>" in page
    assert str(project) not in page
    assert run(project, "git", "status", "--porcelain").stdout == ""


def test_the_second_run_runs_nothing(project: Path) -> None:
    before = (project / "dvc.lock").read_bytes()
    again = run(project, "dvc", "repro").stdout
    assert "Running stage" not in again
    assert UP_TO_DATE in again
    assert UP_TO_DATE in run(project, "dvc", "status").stdout
    assert (project / "dvc.lock").read_bytes() == before


def test_an_experiment_is_found_in_mlflow(copy: Path) -> None:
    assert not tracked_runs(copy, 4)
    run(copy, "dvc", "exp", "run", "-S", "prefix_len=4", "evaluate")
    assert len(tracked_runs(copy, 4)) == 1
    shown = run(copy, "dvc", "exp", "show", "--csv").stdout
    assert "prefix_len" in shown
    assert "conditions.cross_same.eer" in shown


def test_a_temporary_experiment_is_found_in_the_same_database(copy: Path) -> None:
    run(copy, "dvc", "exp", "run", "--temp", "-S", "prefix_len=2", "evaluate")
    assert len(tracked_runs(copy, 2)) == 1
    # The checkout itself is as it was.
    assert run(copy, "git", "status", "--porcelain").stdout == ""


def test_a_folder_of_recordings_goes_through_the_same_stages(copy: Path) -> None:
    """The embedded corpus's recordings, laid out as people lay out theirs, with files that cannot be used."""
    import pandas as pd

    index = pd.read_csv(copy / "data" / "raw" / "index.csv", keep_default_na=False)
    folder = copy.parent / "mine"
    for row in index.itertuples():
        target = folder / row.speaker / row.language / Path(row.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy / "data" / "raw" / row.path, target)
    (folder / row.speaker / row.language / "empty.wav").touch()
    changes = {
        "corpus": "folder",
        "folder.paths": ["../mine"],
        "manifest.test_share": 0.4,
        "train.batch_size": 8,
    }
    set_params(copy, changes)

    failed = run(copy, "dvc", "repro", "evaluate", check=False)
    assert failed.returncode != 0
    assert "empty.wav" in failed.stdout

    set_params(copy, {"manifest.on_bad_audio": "skip"})
    run(copy, "dvc", "repro", "evaluate")
    assert "empty.wav" in (copy / "data" / "skipped.csv").read_text(encoding="utf-8")
    metrics = read_json(copy / "reports" / "metrics.json")
    assert {"all", "same_same"} <= set(metrics["conditions"])
    manifest = pd.read_parquet(copy / "data" / "manifest.parquet")
    assert set(manifest["speaker"]) == {f"mine-{name}" for name in index["speaker"]}
    assert (manifest.groupby("speaker")["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix_len": -1}, "error: params.yaml: prefix_len is -1 but should be from 0 to 512"),
        ({"num_heads": 3}, "error: params.yaml: num_heads is 3 but must divide model.attention_dim"),
        ({"train.crop_seconds": "long"}, "error: params.yaml: train.crop_seconds is 'long' but should be a"),
    ],
)
def test_a_bad_param_stops_a_stage_with_one_line(copy: Path, changes: dict[str, Any], message: str) -> None:
    before = (copy / "data" / "manifest.parquet").read_bytes()
    set_params(copy, changes)
    failed = run(copy, "python", "-m", "pipelines.manifest", check=False)
    assert failed.returncode == 1
    assert failed.stdout.startswith(message)
    assert "Traceback" not in failed.stdout
    assert (copy / "data" / "manifest.parquet").read_bytes() == before
