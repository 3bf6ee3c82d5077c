"""The regression gate, and the proof that it bites. Run by `make regression`, not by `make test`."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from laspa.files import atomic_path, read_json
from laspa.manifest.tables import read_manifest
from tests.regression.compare import EXPECTED, compare, measure, table
from tests.regression.tiny import make_tiny_project, run, set_params

pytestmark = pytest.mark.regression

# Each sabotage, and the metric that must give it away.
CAUGHT_BY = {
    "labels": "eer_all",
    "aam": "eer_all",
    "nll": "language_accuracy",
    "mapc": "train_mapc",
    "mse": "mse",
}


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny profile, run from nothing."""
    project = make_tiny_project(tmp_path_factory.mktemp("tiny"))
    measure(project)
    return project


def test_metrics_are_as_expected(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = compare(tiny_run, read_json(EXPECTED))
    with capsys.disabled():
        print(f"\n{table(rows)}")
    outside = [row.metric for row in rows if not row.ok]
    assert not outside, "make expectations takes them over, if they are meant"


def test_the_page_shows_what_was_measured_on_demand(tiny_run: Path) -> None:
    page = (tiny_run / "reports/index.html").read_text(encoding="utf-8")
    assert "make ablation" not in page
    assert 'aria-label="All systems"' in page
    assert 'aria-label="Prefix length and heads"' in page


@pytest.fixture(scope="module")
def sabotaged(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Path]]]:
    """For each sabotage, a copy of the run that is trained and evaluated with it; two at a time."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            name: pool.submit(sabotage, name, tiny_run, tmp_path_factory.mktemp(name)) for name in CAUGHT_BY
        }


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_sabotage_is_caught(
    sabotaged: dict[str, Future[Path]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    rows = compare(sabotaged[name].result(), read_json(EXPECTED))
    outside = [row.metric for row in rows if not row.ok]
    with capsys.disabled():
        print(f"\n{name} sabotaged; outside: {', '.join(outside)}")
    assert CAUGHT_BY[name] in outside


def sabotage(name: str, tiny_run: Path, folder: Path) -> Path:
    """Train and evaluate with shuffled labels, or without one term of the loss."""
    project = folder / "project"
    shutil.copytree(tiny_run, project, ignore=shutil.ignore_patterns("raw", ".dvc"))
    if name == "labels":
        shuffle_labels(project / "data" / "manifest.parquet")
    else:
        # Without its classifier there is no language posterior to centre by.
        without_centring = {"systems.laspa_plus.model.centring": "none"} if name == "nll" else {}
        set_params(project, {f"loss_weights.{name}": 0.0} | without_centring)
    run(project, "python", "-m", "pipelines.systems")
    for stage in ("train", "evaluate"):
        run(project, "python", "-m", f"pipelines.{stage}", "laspa_plus")
    return project


def shuffle_labels(manifest: Path) -> None:
    """Give the training utterances each other's speakers."""
    table = read_manifest(manifest)
    train = (table["split"] == "train").to_numpy()
    speakers = table["speaker"].to_numpy(dtype=object).copy()
    speakers[train] = np.random.default_rng(0).permutation(speakers[train])
    with atomic_path(manifest) as temporary:
        table.assign(speaker=speakers).to_parquet(temporary, index=False)
