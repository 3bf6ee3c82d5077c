"""Reading tables back, and the name card of a trial list."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.manifest.tables import TRIAL_COLUMNS, read_manifest, read_trials, trial_list_info

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
MANIFEST = pd.DataFrame(
    {
        "utterance_id": ["a/en/0", "a/en/1", "b/en/0", "c/es/0", "d/es/0"],
        "speaker": ["a", "a", "b", "c", "d"],
    }
)


def test_the_checksum_is_of_the_lines_written_by_hand() -> None:
    text = b"a/en/0 a/en/1 1\na/en/0 b/en/0 0\nb/en/0 c/es/0 0\n"
    assert trial_list_info("test", TRIALS, MANIFEST) == {
        "name": "test",
        "sha256": hashlib.sha256(text).hexdigest(),
        "trials": 3,
        "speakers": 3,
    }
    # sha256sum's own answer to the same three lines.
    assert (
        hashlib.sha256(text).hexdigest() == "5da20105d84a05e950590010b647ee3af4b5d2a56358d7567e162d742026a198"
    )


@pytest.mark.parametrize("change", ["order", "target", "side"])
def test_the_checksum_tells_lists_apart(change: str) -> None:
    other = TRIALS.copy()
    if change == "order":
        other = other.iloc[::-1]
    elif change == "target":
        other["target"] = [True, True, False]
    else:
        other[["enroll", "test"]] = TRIALS[["test", "enroll"]].to_numpy()
    first, second = (trial_list_info("test", table, MANIFEST) for table in (TRIALS, other))
    assert first["sha256"] != second["sha256"]
    assert first["speakers"] == second["speakers"]


def test_tables_come_back_as_they_were_written(tmp_path: Path) -> None:
    TRIALS.to_parquet(tmp_path / "t.parquet", index=False)
    MANIFEST.to_parquet(tmp_path / "m.parquet", index=False)
    pd.testing.assert_frame_equal(read_trials(tmp_path / "t.parquet"), TRIALS)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.parquet"), MANIFEST)
    assert list(TRIALS.columns) == TRIAL_COLUMNS


def test_missing_tables_name_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"m\.parquet: no such file; run the stage manifest"):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(LaspaError, match=r"t\.parquet: no such file; run the stage trials"):
        read_trials(tmp_path / "t.parquet")


def test_a_trial_table_without_a_column_is_refused(tmp_path: Path) -> None:
    TRIALS.drop(columns=["same_gender", "target"]).to_parquet(tmp_path / "t.parquet", index=False)
    with pytest.raises(LaspaError, match=r"t\.parquet: no column target, same_gender; it has enroll, test"):
        read_trials(tmp_path / "t.parquet")
