"""Stage report: what it writes, that it writes the same twice, and what it hands to tracking."""

import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from laspa.params import load_params
from laspa.params.dotted import flatten
from laspa.trials.conditions import CONDITIONS
from pipelines import model, report, result, systems
from pipelines.studies import table
from tests.regression.tiny import set_params

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def write_results() -> Callable[..., None]:
    place = REPOSITORY / "tests/report/conftest.py"
    spec = importlib.util.spec_from_file_location("made_up_results", place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._write_results  # type: ignore[no-any-return]


class Recorder:
    def __init__(self) -> None:
        self.artifacts: dict[str, str] = {}

    def log_artifacts(self, path: Path, folder: str) -> None:
        self.artifacts[folder] = str(path)


def test_the_stage(
    tmp_path: Path,
    write_results: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_results(tmp_path, speakers=5, utterances=3)
    for name in ("params.yaml", "reports/study.json"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    set_params(tmp_path, {"evaluate.bootstrap": 100})
    compared = set(load_params(tmp_path / "params.yaml").compare)
    for name in compared:
        trained = tmp_path / "data/trained" / name
        trained.mkdir(parents=True)
        write_json(trained / "config.json", {"features": {"settings": {"n_mels": 80}, "digest": "ab"}})
        (trained / "model.safetensors").write_bytes(b"weights of " + name.encode())
    recorder, digests = Recorder(), []

    @contextmanager
    def run_of_model(sha256: str, params: Any, last: bool) -> Iterator[Recorder]:
        assert params.system == "baseline"
        assert last  # of a repro
        digests.append(sha256)
        yield recorder

    monkeypatch.setattr(report.tracking, "run_of_model", run_of_model)
    monkeypatch.chdir(tmp_path)
    systems.main()
    monkeypatch.setattr("sys.argv", ["table", "ablation"])
    table.main()
    written = []
    for _ in range(2):
        report.main()
        written.append(
            {path: path.read_bytes() for path in sorted(Path("reports").rglob("*")) if path.is_file()}
        )
    assert written[0] == written[1]
    names = {str(path) for path in written[0]}
    assert {"reports/index.html", "reports/summary.json", "reports/plots/det.csv"} <= names
    assert {"reports/plots/training.csv", "reports/plots/dev.csv", "reports/plots/result-home.svg"} <= names
    assert recorder.artifacts == {"plots": "reports/plots", "report": "reports/index.html"}
    assert digests == [hashlib.sha256(b"weights of baseline").hexdigest()] * 2
    summary = read_json(Path("reports/summary.json"))
    assert (set(summary["systems"]), summary["default"]) == (compared, "baseline")
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert "LASPA − prefix" in page
    write_json(report.ABLATION, read_json(report.ABLATION) | {"manifest_sha256": "another corpus"})
    report.main()
    assert "LASPA − prefix" not in Path("reports/index.html").read_text(encoding="utf-8")
    result.main()
    assert "reports/index.html" in capsys.readouterr().out


def test_dvc_s_metric_is_that_of_the_default_and_few_rows_long(
    tmp_path: Path, write_results: Callable[..., None]
) -> None:
    write_results(tmp_path, speakers=5, utterances=3)
    measured = read_json(tmp_path / "data/evaluation/laspa_plus/metrics.json")
    others = dict.fromkeys(("laspa", "laspa_plus"), measured["conditions"])
    metrics = model.metrics(measured, others)
    assert list(metrics["conditions"]) == list(CONDITIONS)
    for name, rates in metrics["conditions"].items():
        assert list(rates)[:3] == ["eer", "eer_low", "eer_high"]
        assert rates == measured["conditions"][name]
    assert metrics["trial_list"] == measured["trial_list"]
    fixed = ("trials", "targets", "trial_list", "language_probe_chance", "added_parameters")
    changing = [name for name in flatten(metrics) if not any(part in name for part in fixed)]
    assert len(changing) <= 30  # rows of `dvc metrics diff` after another training


def test_without_results_the_stage_to_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaspaError, match=r"config\.json: no such file; run the stage that writes it"):
        report.main()
    with pytest.raises(LaspaError, match=r"summary\.json"):
        result.main()
