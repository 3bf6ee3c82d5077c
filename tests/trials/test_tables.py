"""Trial lists as the tables between stages, and what tells two lists apart."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.trials.lists import official_lists, read_trials, write_list
from tests.trial_tables import frame, trial_list

TRIALS = pd.DataFrame(
    {
        "enroll": ["a/en/0", "a/en/0", "b/en/0"],
        "test": ["a/en/1", "b/en/0", "c/es/0"],
        "target": [True, False, False],
        "same_language": [True, True, False],
        "same_gender": pd.array([True, None, False], dtype="boolean"),
        "unseen_language": [False, False, True],
    }
)


def test_the_checksum_is_of_the_lines_written_by_hand() -> None:
    text = b"a/en/0 a/en/1 1\na/en/0 b/en/0 0\nb/en/0 c/es/0 0\n"
    expected = "5da20105d84a05e950590010b647ee3af4b5d2a56358d7567e162d742026a198"  # of sha256sum
    assert trial_list(TRIALS).sha256() == hashlib.sha256(text).hexdigest() == expected


@pytest.mark.parametrize("change", ["order", "target", "side"])
def test_the_checksum_tells_lists_apart(change: str) -> None:
    other = TRIALS.copy()
    if change == "order":
        other = other.iloc[::-1]
    elif change == "target":
        other["target"] = [True, True, False]
    else:
        other[["enroll", "test"]] = TRIALS[["test", "enroll"]].to_numpy()
    assert trial_list(TRIALS).sha256() != trial_list(other).sha256()


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    trials = trial_list(TRIALS, published_sha256="as published")
    write_list(tmp_path / "t.parquet", trials)
    again = read_trials(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(frame(again), frame(trials))
    assert again.sha256() == "as published"
    assert pd.read_parquet(tmp_path / "t.parquet").columns.tolist() == TRIALS.columns.tolist()
    assert again.relations["same_language"].dtype == np.bool_


def test_publishers_lists_are_those_beside_the_splits(tmp_path: Path) -> None:
    for name in ("dev", "test", "voxceleb1-o"):
        write_list(tmp_path / f"{name}.parquet", trial_list(TRIALS))
    assert list(official_lists(tmp_path)) == ["voxceleb1-o"]
    assert official_lists(tmp_path / "none") == {}


def test_a_missing_table_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"t\.parquet: no such file; run the stage trials"):
        read_trials(tmp_path / "t.parquet")


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    incomplete = replace(trial_list(TRIALS.drop(columns="same_gender")), target=None)
    write_list(tmp_path / "t.parquet", incomplete)
    with pytest.raises(LaspaError, match=r"t\.parquet: no column target, same_gender; it has enroll, test"):
        read_trials(tmp_path / "t.parquet")
