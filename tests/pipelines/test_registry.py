"""The registry: what is entered, what becomes the champion, and what is refused with one line."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.files import sha256_file
from laspa.models.saving import WEIGHTS_FILE
from laspa.recogniser import runtime
from laspa.recogniser.recogniser import Recogniser
from pipelines.tracking import logged_model, promotion, registry
from pipelines.tracking.runs import MODEL_TAG, open_store
from tests.packaging.test_package import scored
from tests.small_model import calibrate, record, small_model, voice

POINT = 0.01


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        open_store()
    return folder / "mlflow.db"


@pytest.fixture
def client(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return open_store()[0]


def enter(client: Any, folder: Path, seed: int, worse: float = 0.0, list_name: str = "test") -> str:
    """Log a model whose targets score `worse` lower than the first's, and register it; its folder."""
    model = calibrate(small_model(folder / f"model{seed}", seed=seed), any=(5.0, -2.0, 0.5))
    found = scored(list_name, 1)
    found.scores = found.scores - worse * found.trials.labels()
    files = folder / f"files{seed}"
    (files / "artifacts").mkdir(parents=True)
    pq.write_table(logged_model.comparable_scores(found), files / "artifacts" / logged_model.SCORES_FILE)
    shutil.copytree(model, files / "artifacts" / logged_model.MODEL_ARTIFACT)
    tags = {MODEL_TAG: sha256_file(model / WEIGHTS_FILE)}
    logged = client.create_logged_model(open_store()[1], "laspa", tags=tags)
    client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, "READY")
    registry.register(str(model))
    return str(model)


def aliases(client: Any) -> dict[str, str]:
    found = client.get_registered_model("laspa").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_the_first_version_is_the_champion_and_a_better_one_replaces_it(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(client, tmp_path, 1, worse=0.3)
    promotion.promote()
    assert aliases(client) == {"challenger": "1", "champion": "1"}
    enter(client, tmp_path, 2)
    capsys.readouterr()
    promotion.promote()
    assert aliases(client) == {"challenger": "2", "champion": "2", "previous": "1"}
    table = capsys.readouterr().out
    assert "champion 1  challenger 2" in table
    assert table.endswith("laspa version 2 is the champion, in place of 1: it is not worse\n")
    assert promotion.COMPARED_TAG in client.get_model_version("laspa", "2").tags


def test_a_worse_one_is_refused_unless_forced_which_is_recorded(client: Any, tmp_path: Path) -> None:
    enter(client, tmp_path, 1)
    promotion.promote()
    enter(client, tmp_path, 2, worse=0.3)
    with pytest.raises(LaspaError, match=r"does not replace version 1: its EER cross / same is .* higher"):
        promotion.promote()
    assert aliases(client)["champion"] == "1"
    promotion.promote(force=True)
    assert aliases(client)["champion"] == "2"
    assert "higher" in client.get_model_version("laspa", "2").tags[promotion.FORCED_TAG]


def test_entering_a_model_twice_makes_one_version(client: Any, tmp_path: Path) -> None:
    model = enter(client, tmp_path, 1)
    assert registry.register(model).startswith("laspa version 1 is the challenger")
    assert len(client.search_model_versions("name = 'laspa'")) == 1


def test_within_a_language_a_margin_is_allowed() -> None:
    def found(difference: float) -> promotion.Comparison:
        return promotion.Comparison(0.1, 0.1 + difference, difference, -0.01, 0.01, 0.5, 100)

    compared = {"cross_same": found(0.0), "same_same": found(0.4 * POINT)}
    assert promotion.reason_against(compared, 0.5 * POINT) == ""
    assert "same / same is 0.40 points higher, 0.3 are" in promotion.reason_against(compared, 0.3 * POINT)


def test_another_test_list_is_refused(client: Any, tmp_path: Path) -> None:
    enter(client, tmp_path, 1)
    promotion.promote()
    enter(client, tmp_path, 2, list_name="other")
    with pytest.raises(LaspaError, match="measured on the test list"):
        promotion.promote()
    assert aliases(client)["champion"] == "1"


def test_two_promotions_at_once_one_wins(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, tmp_path, 1)
    promotion.promote()
    enter(client, tmp_path, 2)
    both = threading.Barrier(2, timeout=60)
    real, refused = promotion._alone, []

    def together(*arguments: Any) -> Any:
        both.wait()
        return real(*arguments)

    def slow(*arguments: Any) -> Any:
        both.wait()  # until the other was refused
        return compare(*arguments)

    compare = promotion.compare_versions
    monkeypatch.setattr(promotion, "_alone", together)
    monkeypatch.setattr(promotion, "compare_versions", slow)

    def run() -> None:
        try:
            promotion.promote()
        except LaspaError as error:
            refused.append(str(error))
            both.wait()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert aliases(client)["champion"] == "2"
    assert len(refused) == 1
    assert "is being promoted by" in refused[0]
    assert [one.name for one in client.search_registered_models()] == ["laspa"]  # the lock is gone


def test_a_lock_that_a_killed_promotion_left_is_taken_after_a_while(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, tmp_path, 1)
    client.create_registered_model(f"laspa{promotion.LOCK_SUFFIX}", description="gone:1")
    with pytest.raises(LaspaError, match="is being promoted by gone:1"):
        promotion.promote()
    monkeypatch.setattr(promotion, "STALE_SECONDS", 0)
    promotion.promote()
    assert aliases(client)["champion"] == "1"


def test_a_registered_model_is_loaded_by_its_address(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = enter(client, tmp_path, 1)
    monkeypatch.setattr(
        runtime, "hook", lambda group, name, extra: getattr(registry, {"folder": "folder_of"}[name])
    )
    with pytest.raises(LaspaError, match=r"no alias or version 'champion', it has challenger, 1; make one"):
        Recogniser.load("models:/laspa@champion")
    promotion.promote()
    recording = record(tmp_path / "a.wav", voice(1.0))
    found = Recogniser.load("models:/laspa@champion").embed(recording)
    np.testing.assert_array_equal(found, Recogniser.load(model).embed(recording))
    for address, message in (
        ("models:/laspa", "expected models:/NAME@ALIAS"),
        ("models:/other@champion", "no such registered model"),
        ("models:/laspa/9", "no alias or version '9'"),
    ):
        with pytest.raises(LaspaError, match=message):
            Recogniser.load(address)


def test_what_is_not_there_is_one_line(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LaspaError, match="no such registered model"):
        promotion.promote()
    with pytest.raises(LaspaError, match="no such file"):
        registry.register(str(tmp_path / "none"))
    with pytest.raises(LaspaError, match="has no model of these weights"):
        registry.register(str(small_model(tmp_path / "model")))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(LaspaError, match=r"registry at http://127\.0\.0\.1:9 does not answer"):
        promotion.promote()


def test_a_logged_model_is_loaded_in_a_process_without_the_project(tmp_path: Path) -> None:
    model = calibrate(small_model(tmp_path / "of_another_name"), any=(5.0, -2.0, 0.5))
    saved = logged_model.save_model(tmp_path / "saved", model, scored("test", 1))
    code = (
        "import json, sys, mlflow\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "import laspa\n"
        "assert laspa.__file__.startswith(sys.argv[1]), laspa.__file__\n"
        "audio = model.input_example[0]['audio']\n"
        "one = model.predict([{'audio': audio}])[0]\n"
        "assert abs(sum(value ** 2 for value in one['embedding']) - 1) < 1e-5\n"
        "two = model.predict([{'audio': audio, 'other': audio}])[0]\n"
        "assert two['same'] and two['score'] > 0.999 and two['probability'] > 0.9, two\n"
    )
    # -S leaves out site-packages, in which the project is installed; the packages are put back by their path.
    packages = str(Path(sys.modules["mlflow"].__file__ or "").parents[1])
    start = f"import sys; sys.path.append({packages!r})\n"
    command = [sys.executable, "-S", "-c", start + code, str(saved)]
    ended = subprocess.run(command, cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert (saved / registry.ARTIFACTS / logged_model.MODEL_ARTIFACT / "config.json").is_file()
    pinned = (saved / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in pinned)
