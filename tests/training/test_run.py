"""A training run from the tables on disk: its name, its parts, and features that change meanwhile."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laspa import files
from laspa.errors import LaspaError
from laspa.features.store import FeatureStore, UtteranceMel, write_shard
from laspa.params import load_params, with_overrides
from laspa.training.processes import Processes
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


def test_a_corpus_that_grew_is_another_run_and_does_not_stir_the_one_that_is_training(params, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    features = tmp_path / "data/features"
    params = with_overrides(params, {"train.epochs": 3})
    whole = train_system(params, load_training_data(tmp_path / "data"), tmp_path / "whole")
    manifest = pd.read_parquet(tmp_path / "data/manifest.parquet")
    more = manifest[manifest["speaker"] == "s0"].copy()
    more["utterance_id"] = "more/" + more["utterance_id"]

    def grow(record):
        if record["epoch"] == 1:
            mels = FeatureStore(features)
            rows = (UtteranceMel(name, mels.get(name.removeprefix("more/"))) for name in more["utterance_id"])
            write_shard(features / "part-00001.parquet", rows, mels.settings)
            pd.concat([manifest, more]).to_parquet(tmp_path / "data/manifest.parquet")

    data = load_training_data(tmp_path / "data")
    assert train_system(params, data, tmp_path / "states", grow).history == whole.history
    grown = load_training_data(tmp_path / "data")
    assert len(grown.train) == len(data.train) + len(more)
    assert state_digest(params, grown) != state_digest(params, data)


def test_a_shard_truncated_under_a_training_is_named_and_the_state_is_kept(params, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    params = with_overrides(params, {"train.epochs": 3})
    whole = train_system(params, load_training_data(tmp_path / "data"), tmp_path / "whole")
    shard, seen = tmp_path / "data/features/part-00000.parquet", []
    shutil.copy2(shard, tmp_path / "kept")

    def truncate(record):
        seen.append(record["epoch"])
        if record["epoch"] == 2:
            os.truncate(shard, shard.stat().st_size // 10)

    data = load_training_data(tmp_path / "data")
    with pytest.raises(LaspaError, match=r"part-00000.parquet: was truncated while in use; run dvc repro"):
        train_system(params, data, tmp_path / "states", truncate)
    assert seen == [1, 2]
    shutil.copy2(tmp_path / "kept", shard)
    again = train_system(params, load_training_data(tmp_path / "data"), tmp_path / "states")
    assert again.history == whole.history


def test_a_process_opens_the_shards_of_its_part_alone(params, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    features = tmp_path / "data/features"
    mels = FeatureStore(features)
    (features / "part-00000.parquet").unlink()
    for number, some in enumerate(np.array_split(mels.utterance_ids, 6)):  # a speaker each; two are of dev
        rows = (UtteranceMel(name, np.zeros((60, mels.num_mels), np.float16)) for name in some)
        write_shard(features / f"part-{number:05d}.parquet", rows, mels.settings)
    for rank, own in enumerate([{0, 1}, {2, 3}]):
        store = load_training_data(tmp_path / "data", Processes(rank, 2)).train.mels
        store.crops(np.arange(len(store)), np.zeros(len(store), int), 30)
        assert set(store._pieces._open) == own


@pytest.mark.parametrize("open_files", [False, True])
def test_a_shared_path_that_is_away_for_a_moment_is_waited_for(open_files, params, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    params = with_overrides(params, {"train.epochs": 3, "train.dev_every": 1})
    there, away, slept = tmp_path / "data", tmp_path / "away", []
    whole = train_system(params, load_training_data(there), tmp_path / "whole")
    data = load_training_data(there)

    def lose(record):
        if record["epoch"] == 2:
            there.rename(away)
            if not open_files:  # the features are missed first; where they can still be read, the state is
                data.train.mels._pieces._close()

    def sleep(_):
        slept.append(away.rename(there))

    monkeypatch.setattr("time.sleep", sleep)
    assert train_system(params, data, there / ".partial", lose).history == whole.history
    assert len(slept) == 1


def test_a_shared_path_that_stays_away_is_named_and_the_state_is_kept(params, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    params = with_overrides(params, {"train.epochs": 3, "train.dev_every": 1})
    there, away, seen = tmp_path / "data", tmp_path / "away", []
    whole = train_system(params, load_training_data(there), tmp_path / "whole")

    def lose(record):
        seen.append(record["epoch"])
        if record["epoch"] == 2:
            there.rename(away)

    monkeypatch.setattr(files, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(LaspaError, match=r"data/.partial: no such folder any more; bring it back"):
        train_system(params, load_training_data(there), there / ".partial", lose)
    assert seen == [1, 2]
    away.rename(there)
    assert train_system(params, load_training_data(there), there / ".partial", seen.append).history == (
        whole.history
    )
    assert [record["epoch"] for record in seen[2:]] == [1, 2, 3]


def test_all_parts_in_one_process_are_those_of_the_processes(params, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS_FILE.read_text())
    write_tables(tmp_path, languages=("de", "en"))
    everything = load_training_data(tmp_path / "data").train
    workers = next(count for count in range(2, 9) if len(everything) % count)  # the last two parts overlap
    both = load_training_data(tmp_path / "data", Processes(0, 1, workers)).train
    assert both.utterance_ids == everything.utterance_ids
    for rank, start in enumerate(both.starts):
        own = load_training_data(tmp_path / "data", Processes(rank, workers)).train
        assert own.utterance_ids == both.utterance_ids[start : start + len(own)]
        assert list(own.starts) == [0]
