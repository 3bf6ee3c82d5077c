"""The regression gate, and the proof that it bites. Run by `make regression`, not by `make test`."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from laspa.files import atomic_path, read_json
from laspa.tables import read_manifest
from tests.regression.compare import EXPECTED, compare, table
from tests.regression.tiny import make_tiny_project, run, set_params

pytestmark = pytest.mark.regression


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny profile, run from nothing."""
    project = make_tiny_project(tmp_path_factory.mktemp("tiny"))
    run(project, "dvc", "repro")
    return project


def test_metrics_are_as_expected(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = compare(tiny_run, read_json(EXPECTED))
    with capsys.disabled():
        print(f"\n{table(rows)}")
    outside = [row.metric for row in rows if not row.ok]
    assert not outside, "make expectations takes them over, if they are meant"


@pytest.mark.parametrize(
    ("sabotage", "metric"),
    [
        ("labels", "eer_all"),
        ("aam", "eer_all"),
        ("nll", "language_accuracy"),
        ("mapc", "mapc"),
        ("mse", "mse"),
    ],
)
def test_sabotage_is_caught(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sabotage: str, metric: str
) -> None:
    project = tmp_path / "sabotaged"
    shutil.copytree(tiny_run, project, ignore=shutil.ignore_patterns("raw", ".dvc"))
    if sabotage == "labels":
        shuffle_labels(project / "data" / "manifest.parquet")
    else:
        set_params(project, {f"loss_weights.{sabotage}": 0.0})
    run(project, "python", "-m", "pipelines.train")
    run(project, "python", "-m", "pipelines.evaluate")
    outside = {row.metric: row.got for row in compare(project, read_json(EXPECTED)) if not row.ok}
    with capsys.disabled():
        print(f"\n{sabotage}: outside are {', '.join(f'{name} ({got})' for name, got in outside.items())}")
    assert metric in outside


def shuffle_labels(manifest: Path) -> None:
    """Give the training utterances each other's speakers."""
    table = read_manifest(manifest)
    train = (table["split"] == "train").to_numpy()
    speakers = table["speaker"].to_numpy(dtype=object).copy()
    speakers[train] = np.random.default_rng(0).permutation(speakers[train])
    with atomic_path(manifest) as temporary:
        table.assign(speaker=speakers).to_parquet(temporary, index=False)
