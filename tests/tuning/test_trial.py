"""A trial as a worker runs it, with Ray's report replaced by a list."""

from pathlib import Path
from typing import Any

import pytest

from laspa.params import Params, load_params
from laspa.training import loop as training
from laspa.training.run import TrainingData, load_training_data, state_digest
from laspa.tuning.space import trial_params
from laspa.tuning.storage import Storage
from pipelines.ray import trial
from tests.tuning.tiny import make_tiny_sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sweep(tmp_path_factory.mktemp("trial") / "project")


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(trial.tune, "report", kept.append)
    return kept


def config(params: Params, data: TrainingData) -> dict[str, Any]:
    return {"trial": {"key": state_digest(params, data), "params": params.model_dump()}}


def test_the_test_split_is_never_read(folder: Path, tmp_path: Path, reports: list[dict[str, Any]]) -> None:
    """The folder has rows of test speakers in the manifest, but neither their trials nor their features."""
    params = trial_params(load_params(folder / "params.yaml").resolve("laspa"), {"prefix_len": 4})
    assert not (folder / "data/trials/test.parquet").exists()
    data = load_training_data(folder / "data")
    assert not any(name.startswith(("s10", "s11")) for name in data.dev.features.utterance_ids)
    trial.train_trial(config(params, data), str(folder / "data"), tmp_path, Storage(str(tmp_path)))
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    assert all(report["eer"] == report["record"]["dev"]["eer_cross_same"] for report in reports)


def test_a_trial_that_died_goes_on_from_its_last_epoch(
    folder: Path, tmp_path: Path, reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = trial_params(load_params(folder / "params.yaml").resolve("laspa"), {"prefix_len": 2})
    data = load_training_data(folder / "data")
    trained: list[int] = []
    batches = training.batches
    monkeypatch.setattr(training, "batches", lambda *given: trained.append(1) or batches(*given))
    trial.train_trial(config(params, data), str(folder / "data"), tmp_path, Storage(str(tmp_path / "whole")))
    whole = list(reports)
    reports.clear()

    def die(report: dict[str, Any]) -> None:
        reports.append(report)
        if report["epoch"] == 2:
            raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(trial.tune, "report", die)
        with pytest.raises(MemoryError):
            trial.train_trial(
                config(params, data), str(folder / "data"), tmp_path, Storage(str(tmp_path / "died"))
            )
    trained.clear()
    reports.clear()
    trial.train_trial(config(params, data), str(folder / "data"), tmp_path, Storage(str(tmp_path / "died")))
    assert len(trained) == 1  # the third epoch alone
    assert reports == whole


def test_a_loss_that_is_not_finite_ends_the_trial_with_its_reason(
    folder: Path, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    params = trial_params(
        load_params(folder / "params.yaml").resolve("laspa"), {"train.learning_rate": 10**30}
    )
    data = load_training_data(folder / "data")
    trial.train_trial(config(params, data), str(folder / "data"), tmp_path, Storage(str(tmp_path)))
    assert reports[-1]["error"].startswith("training: ")
    assert "in epoch" in reports[-1]["error"]
