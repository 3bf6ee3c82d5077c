"""Labels of a model in an index: kept, left out with a reason, or asked for."""

from pathlib import Path

import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.manifest.language_labels import check_unlabelled, with_labels, write_labels


def index_of(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "language"])


def test_labels_fill_what_is_empty_and_doubtful_rows_go(tmp_path: Path) -> None:
    index = index_of(("a", "fr"), ("b", "und"), ("c", "und"), ("d", "und"), ("e", "und"))
    write_labels(
        tmp_path / "labels.parquet",
        [("d", "und", None), ("c", "de", 0.699), ("b", "hi", 0.7), ("e", "en", 1.0)],
    )
    labels = pd.read_parquet(tmp_path / "labels.parquet")
    assert labels["path"].tolist() == ["b", "c", "d", "e"]
    filled, skipped = with_labels(index, labels, 0.699999)
    assert filled.values.tolist() == [["a", "fr"], ["b", "hi"], ["d", "und"], ["e", "en"]]
    assert skipped.values.tolist() == [
        ["c", "language unknown: de at 0.70 is below label.threshold, 0.699999"]
    ]
    assert index["language"].tolist() == ["fr", "und", "und", "und", "und"]


def test_with_every_language_given_nothing_changes(tmp_path: Path) -> None:
    index = index_of(("a", "fr"), ("b", "hi"))
    write_labels(tmp_path / "labels.parquet", [])
    filled, skipped = with_labels(index, pd.read_parquet(tmp_path / "labels.parquet"), 1.0)
    pd.testing.assert_frame_equal(filled, index)
    assert skipped.empty


def test_what_nobody_listened_to_is_asked_for(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", [("a", "fr", 0.9)])
    with pytest.raises(
        LaspaError, match="no label for 1 recordings without a language, such as b; run dvc repr"
    ):
        with_labels(index_of(("a", "und"), ("b", "und")), pd.read_parquet(tmp_path / "labels.parquet"), 0.5)


def test_a_threshold_that_leaves_nothing_is_told(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.parquet", [("a", "fr", 0.4), ("b", "hi", 0.3)])
    labels = pd.read_parquet(tmp_path / "labels.parquet")
    with pytest.raises(LaspaError, match=r"of all 2 recordings are below label\.threshold, 0\.5; lower it"):
        with_labels(index_of(("a", "und"), ("b", "und")), labels, 0.5)


def test_without_a_model_all_or_none_may_lack_a_language() -> None:
    assert check_unlabelled(index_of(("a", "fr"), ("b", "hi"))) == ""
    assert "no recording has a language: all count as one; set label.model" in check_unlabelled(
        index_of(("a", "und"), ("b", "und"))
    )
    with pytest.raises(
        LaspaError, match=r"1 of 2 recordings have no language, such as b; .* set label\.model to"
    ):
        check_unlabelled(index_of(("a", "fr"), ("b", "und")))
