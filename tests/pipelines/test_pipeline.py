"""The whole pipeline on a tiny corpus, as a user runs it: repro, repro again, experiments, other corpora.

All tests share one run of the tiny project, and work in copies of it where they change something.
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from laspa.files import read_json
from laspa.params.dotted import get
from tests.regression.tiny import SMALLEST, make_tiny_project, run, set_params

REPOSITORY = Path(__file__).parents[2]
UP_TO_DATE = "Data and pipelines are up to date."
STAGES = ["manifest", "validate_manifest", "trials", "features", "validate_features", "systems", "train"]
STAGES += ["evaluate", "model", "report"]


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
        if run.info.status == "FINISHED"
        and run.data.tags["laspa.kind"] == "train"  # not the run of the whole experiment
        and any("eer" in name for name in run.data.metrics)
    ]


def test_the_first_run_leaves_what_it_promises(project: Path) -> None:
    metrics, summary = (read_json(project / "reports" / name) for name in ("metrics.json", "summary.json"))
    assert set(metrics["conditions"]) == {"all", "cross_cross", "cross_same", "same_cross", "same_same"}
    for condition in metrics["conditions"].values():
        assert 0 <= condition["eer_low"] <= condition["eer"] <= condition["eer_high"] <= 1
        assert 0 < condition["targets"] < condition["trials"]
    assert set(summary["systems"]) == {"baseline", "laspa", "laspa_plus"}
    measured = summary["systems"][summary["default"]]
    assert measured["conditions"] == metrics["conditions"]
    assert set(measured["difference"]["conditions"]) == set(metrics["conditions"])
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


def test_an_experiment_is_found_in_mlflow_and_in_dvc(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tracked_runs(copy, 4)
    run(copy, "dvc", "exp", "run", "-S", "prefix_len=4", "model")
    assert len(tracked_runs(copy, 4)) == 2  # of LASPA and LASPA+; the baseline has no prefix
    assert len(run(copy, "dvc", "metrics", "diff").stdout.splitlines()) <= 1 + 30
    monkeypatch.setenv("COLUMNS", "160")
    makefile = (copy / "Makefile").read_text()
    eers, rest = (re.findall(rf"^{name} := (.*)$", makefile, re.MULTILINE)[0] for name in ("EERS", "REST"))
    options = ["--keep", eers.replace("$$", "$"), "--drop", rest.replace("$$", "$")]
    shown = run(copy, "dvc", "exp", "show", "--no-pager", "--only-changed", *options).stdout
    assert max(map(len, shown.splitlines())) <= 160
    assert shown.split()[1:3] == ["Experiment", "conditions.cross_same.eer"]
    assert "conditions.all.eer" in shown
    assert "prefix_len" in shown


def test_a_temporary_experiment_is_found_in_the_same_database(copy: Path) -> None:
    run(copy, "dvc", "exp", "run", "--temp", "-S", "prefix_len=2", "evaluate@laspa")
    assert len(tracked_runs(copy, 2)) == 1
    # The checkout itself is as it was.
    assert run(copy, "git", "status", "--porcelain").stdout == ""


def test_a_model_to_start_from_is_found_from_a_temporary_workspace(copy: Path) -> None:
    shutil.copytree(copy / "data/trained/laspa", copy.parent / "pre")
    changes = ["train.resume=weights-only", "train.weights_from=../pre", "train.epochs=1"]
    settings = [word for change in changes for word in ("-S", change)]
    assert "Ran experiment" in run(copy, "dvc", "exp", "run", "--temp", *settings, "train@laspa").stdout


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

    failed = run(copy, "dvc", "repro", "model", check=False)
    assert failed.returncode != 0
    assert "empty.wav" in failed.stdout

    set_params(copy, {"manifest.on_bad_audio": "skip"})
    run(copy, "dvc", "repro", "model")
    assert "empty.wav" in (copy / "data" / "skipped.csv").read_text(encoding="utf-8")
    metrics = read_json(copy / "reports" / "metrics.json")
    assert {"all", "same_same"} <= set(metrics["conditions"])
    manifest = pd.read_parquet(copy / "data" / "manifest.parquet")
    assert set(manifest["speaker"]) == {f"mine-{name}" for name in index["speaker"]}
    assert (manifest.groupby("speaker")["split"].nunique() == 1).all()


def test_official_lists_of_voxceleb_are_measured_on_a_model_of_voxceleb2(copy: Path) -> None:
    """The embedded corpus's recordings under VoxCeleb's names, with its metadata and lists."""
    import pandas as pd

    index = pd.read_csv(copy / "data" / "raw" / "index.csv", keep_default_na=False)
    meta = {1: "VoxCeleb1 ID\tGender\tSet\n", 2: "VoxCeleb2 ID ,Gender ,Set \n"}
    lines = ("", "{}\t{}\t{}\n", "{} ,{} ,{} \n")
    labels = dict.fromkeys(meta, "filename,label\n")
    named: dict[str, list[str]] = {}
    for number, (_, rows) in enumerate(index.groupby("speaker")):
        edition = 1 if rows["split"].iloc[0] == "test" else 2
        who = f"id{edition * 10_000 + number:05d}"
        part = "test" if edition == 1 and number % 2 else "dev"
        meta[edition] += lines[edition].format(who, rows["gender"].iloc[0], part)
        for row in rows.itertuples():
            name = f"{who}/{row.language}aaaaaaaaa/{row.Index:05d}.wav"
            labels[edition] += f"{name},{row.language}\n"
            target = copy.parent / f"vox{edition}" / "wav" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(copy / "data" / "raw" / row.path, target)
            if edition == 1:
                named.setdefault(part, []).append(name)
    for edition in meta:
        (copy.parent / f"vox{edition}" / f"vox{edition}_meta.csv").write_text(meta[edition])
        (copy.parent / f"vox{edition}" / "labels.csv").write_text(labels[edition])
    both = named["dev"] + named["test"]
    lists = {
        "veri_test2": named["test"],
        "list_test_all2": both,
        "list_test_hard2": [*both, "id1/gone/1.wav"],
    }
    for file, names in lists.items():
        trials = [f"{int(a[:7] == b[:7])} {a} {b}\n" for a in names for b in names if a < b]
        (copy.parent / "vox1" / f"{file}.txt").write_text("".join(trials))
    changes = {"corpus": ["voxceleb2", "voxceleb1"], "voxceleb1.splits": "test"}
    changes |= {"manifest.dev_share": 0.4, "train.batch_size": 8}
    for edition in meta:
        changes |= {f"voxceleb{edition}.path": f"../vox{edition}"}
        changes |= {f"voxceleb{edition}.languages": f"../vox{edition}/labels.csv"}
    set_params(copy, changes)
    out = run(copy, "dvc", "repro", "evaluate@baseline").stdout
    assert "trial list voxceleb1-h is left out: 1 of its" in out
    official = read_json(copy / "data/evaluation/baseline/metrics.json")["official"]
    assert set(official) == {"voxceleb1-e", "voxceleb1-o"}
    for name, expected in (("voxceleb1-o", named["test"]), ("voxceleb1-e", both)):
        found = official[name]
        pairs = [(a, b) for a in expected for b in expected if a < b]
        text = "".join(f"{a} {b} {int(a[:7] == b[:7])}\n" for a, b in pairs)
        assert found["trial_list"] == {
            "name": name,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "trials": len(pairs),
            "speakers": len({one[:7] for one in expected}),
        }
        assert set(found["conditions"]) == {"all", "cross_cross", "cross_same", "same_cross", "same_same"}
        assert found["conditions"]["all"]["targets"] == sum(a[:7] == b[:7] for a, b in pairs)
        scores = pd.read_parquet(copy / "data/evaluation/baseline" / f"scores_{name}.parquet")
        assert (scores["same_language"] == [a[8:10] == b[8:10] for a, b in pairs]).all()
        at = scores["score"].quantile(1 - scores["target"].mean())  # chance would be right half of the time
        assert ((scores["score"] > at) == scores["target"]).mean() > 0.5


def test_augmented_copies_are_checked_and_trained_on_and_change_no_trial(copy: Path) -> None:
    import pandas as pd

    before = read_json(copy / "reports" / "metrics.json")
    set_params(copy, {"features.copies": 1, "train.epochs": 1})
    run(copy, "dvc", "repro", "model")
    manifest = pd.read_parquet(copy / "data" / "manifest.parquet")
    copies = pd.read_parquet(copy / "data" / "features" / "copies.parquet")
    assert set(copies["copy_of"]) == set(manifest.loc[manifest["split"] == "train", "utterance_id"])
    assert not set(copies["utterance_id"]) & set(manifest["utterance_id"])
    trained = read_json(copy / "data" / "model" / "config.json")["speakers"]
    assert set(trained) == set(manifest.loc[manifest["split"] == "train", "speaker"]) | set(copies["speaker"])
    after = read_json(copy / "reports" / "metrics.json")
    assert after["trial_list"] == before["trial_list"]
    assert after["conditions"] != before["conditions"]


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


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_what_it_lists(project: Path, tmp_path: Path, name: str) -> None:
    """In a folder with its data alone, other params being those of another profile, it writes the same."""
    stages = (project / "dvc.yaml").read_text().replace("${item.system}", "laspa_plus")
    stage = yaml.safe_load(stages)["stages"][name]
    folder = tmp_path / "alone"
    for part in ("laspa", "pipelines"):
        shutil.copytree(project / part, folder / part)
    for dep in (dep for dep in stage["deps"] if not dep.startswith(("laspa", "pipelines"))):
        (folder / dep).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (project / dep).is_dir() else shutil.copy)(project / dep, folder / dep)
    if "params.yaml" not in stage["deps"]:
        shutil.copy(REPOSITORY / "params.yaml", folder)
    params = yaml.safe_load((project / "params.yaml").read_text())
    listed = {dotted: get(params, dotted) for dotted in stage.get("params", [])}
    set_params(folder, listed)
    run(folder, *stage["cmd"].split())
    written = [*stage["outs"], *stage.get("metrics", [])]
    outs = [out if isinstance(out, str) else next(iter(out)) for out in written]
    for out in outs:
        files = [file for file in [project / out, *(project / out).rglob("*")] if file.is_file()]
        assert files
        for file in files:
            assert (folder / file.relative_to(project)).read_bytes() == file.read_bytes(), file
