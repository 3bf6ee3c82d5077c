"""A training run from the tables on disk: its name, and a corpus that has one language."""

from pathlib import Path

import pandas as pd
import pytest

from laspa.params import load_params, with_overrides
from laspa.training.run import load_training_data, state_digest, train_system
from tests.made_up import write_tables

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
TINY = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "train.batch_size": 8,
    "train.crop_seconds": 0.3,
    "train.epochs": 1,
    "train.device": "cpu",
}


@pytest.fixture
def params():
    return with_overrides(load_params(PARAMS_FILE).resolve("laspa_plus"), TINY)


def test_a_corpus_of_one_language_trains_without_what_needs_two_and_says_so(params, tmp_path, capsys):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de",))
    data = load_training_data(tmp_path / "data")
    trained = train_system(params, data, tmp_path / "states")
    warning = "warning: all training speech is in de; mapc, nll and centring are off\n"
    assert warning in capsys.readouterr().err
    record = trained.history[0]
    assert (record["nll"], record["mapc"]) == (None, None)
    assert record["mse"] > 0
    assert list(record["dev"]) == ["eer_same_same", "eer_all"]
    assert trained.model.system.model.centring == "none"


@pytest.mark.parametrize("each_its_own", [True, False])
def test_where_a_language_is_a_corpus_its_mean_is_not_taken_away(each_its_own, params, tmp_path, capsys):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    table = pd.read_parquet(tmp_path / "data/manifest.parquet")
    table["corpus"] = table["language"] if each_its_own else ["one", "two"] * (len(table) // 2)
    table.to_parquet(tmp_path / "data/manifest.parquet")
    trained = train_system(params, load_training_data(tmp_path / "data"), tmp_path / "states")
    warned = "a language's mean is a corpus's; centring is off\n" in capsys.readouterr().err
    assert (trained.model.system.model.centring, warned) == (
        ("none", True) if each_its_own else ("language", False)
    )


def test_a_run_is_named_by_all_that_determines_it(params, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    data = load_training_data(tmp_path / "data")
    name = state_digest(params, data)
    assert state_digest(with_overrides(params, {"evaluate.bootstrap": 200}), data) == name
    for change in ({"seed": 2}, {"train.epochs": 2}, {"prefix_len": 1}):
        assert state_digest(with_overrides(params, change), data) != name
