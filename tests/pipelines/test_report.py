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
from pipelines import ablation_table, report, resolve, result

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
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    compared = set(load_params(tmp_path / "params.yaml").compare)
    for system in (tmp_path / "data/ablation").iterdir():
        if system.name not in compared:
            shutil.copytree(system, tmp_path / "studies/ablation/systems" / system.name)
            shutil.rmtree(system)
    (tmp_path / "data/model").mkdir()
    (tmp_path / "data/model/model.safetensors").write_bytes(b"weights")
    write_json(
        tmp_path / "data/model/config.json", {"features": {"settings": {"n_mels": 80}, "digest": "ab"}}
    )
    recorder, digests = Recorder(), []

    @contextmanager
    def run_of_model(sha256: str, params: Any) -> Iterator[Recorder]:
        assert params.prefix_len
        digests.append(sha256)
        yield recorder

    monkeypatch.setattr(report.tracking, "run_of_model", run_of_model)
    monkeypatch.chdir(tmp_path)
    resolve.main()
    ablation_table.main()
    written = []
    for _ in range(2):
        report.main()
        written.append(
            {path: path.read_bytes() for path in sorted(Path("reports").rglob("*")) if path.is_file()}
        )
    assert written[0] == written[1]
    names = {str(path) for path in written[0]}
    assert {"reports/index.html", "reports/summary.json", "reports/plots/det.csv"} <= names
    assert {"reports/plots/training.csv", "reports/plots/dev.csv", "reports/plots/systems.svg"} <= names
    assert recorder.artifacts == {"plots": "reports/plots", "report": "reports/index.html"}
    assert digests == [hashlib.sha256(b"weights").hexdigest()] * 2
    assert compared < set(read_json(Path("reports/summary.json"))["systems"])
    write_json(report.ABLATION, read_json(report.ABLATION) | {"manifest_sha256": "another corpus"})
    report.main()
    assert set(read_json(Path("reports/summary.json"))["systems"]) == compared
    result.main()
    assert "reports/index.html" in capsys.readouterr().out


def test_without_results_the_stage_to_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaspaError, match=r"trained\.json: no such file; run the stage that writes it"):
        report.main()
    with pytest.raises(LaspaError, match=r"summary\.json"):
        result.main()
