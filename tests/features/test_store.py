"""The Parquet shards and the store that reads them."""

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.features import pieces
from laspa.features import store as features
from laspa.features.settings import mel_settings
from laspa.features.store import FeatureStore, UtteranceMel, digest, shard_name, write_shard
from laspa.params import Features

PARAMS = Features(num_mels=8, window_ms=25.0, hop_ms=10.0, low_hz=20.0, high_hz=7600.0, shard_utterances=100)
SETTINGS = mel_settings(PARAMS)


def rows(count: int, first: int = 0) -> list[UtteranceMel]:
    """Utterances of 1 to 7 frames; each value tells its utterance, frame and band."""
    made = []
    for index in range(first, first + count):
        frames = 1 + index % 7
        mel = index + np.arange(frames)[:, None] / 16 + np.arange(8)[None, :] / 128
        made.append(UtteranceMel(f"s{index % 3}/en/{index:04d}", mel.astype(np.float16)))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shard(tmp_path / "features" / shard_name(0), iter(rows(150)), SETTINGS)
    write_shard(tmp_path / "features" / shard_name(1), iter(rows(10, first=150)), SETTINGS)
    return tmp_path / "features"


def test_the_file_is_as_promised(folder: Path) -> None:
    file = pq.ParquetFile(folder / "part-00000.parquet")
    assert file.schema_arrow.names == ["utterance_id", "num_frames", "mel"]
    assert file.schema_arrow.types == [pa.string(), pa.int32(), pa.binary()]
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [64, 64, 22]
    column = file.metadata.row_group(0).column(2)
    assert (column.compression, column.is_stats_set, column.has_dictionary_page) == (
        "UNCOMPRESSED",
        False,
        False,
    )
    metadata = file.schema_arrow.metadata
    assert b'"hop_ms": 10.0' in metadata[b"laspa.mel"]
    assert metadata[b"laspa.version"] == b"1"
    assert metadata[b"laspa.digest"] == digest(SETTINGS).encode()
    row = file.read().slice(5, 1).to_pylist()[0]
    assert row["num_frames"] == 6
    assert row["mel"] == rows(6)[5].mel.astype("<f2").tobytes()


def test_all_utterances_as_stored(folder: Path) -> None:
    store = FeatureStore(folder)
    expected = rows(160)
    assert store.utterance_ids == [row.utterance_id for row in expected]
    assert store.num_frames.tolist() == [len(row.mel) for row in expected]
    for row in expected:
        assert store.get(row.utterance_id).dtype == np.float16
        np.testing.assert_array_equal(store.get(row.utterance_id), row.mel)
    assert store.settings == SETTINGS
    assert store.digest == digest(SETTINGS)
    assert len(store) == 160


def test_some_utterances_in_the_order_asked_for(folder: Path) -> None:
    chosen = [rows(160)[index] for index in (155, 3, 70, 4)]
    store = FeatureStore(folder, [row.utterance_id for row in chosen])
    assert store.num_frames.tolist() == [len(row.mel) for row in chosen]
    for row in chosen:
        np.testing.assert_array_equal(store.get(row.utterance_id), row.mel)
    with pytest.raises(LaspaError, match="no utterance 's0/en/0000' among the 4 read"):
        store.get("s0/en/0000")


def test_no_utterances_asked_for(folder: Path) -> None:
    store = FeatureStore(folder, [])
    assert len(store) == 0
    assert store.num_mels == 8


def test_the_digest_tells_settings_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    other = mel_settings(PARAMS.model_copy(update={"hop_ms": 12.5}))
    assert digest(other) != digest(SETTINGS)
    assert digest(mel_settings(PARAMS.model_copy(update={"shard_utterances": 7}))) == digest(SETTINGS)
    before = digest(SETTINGS)
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)
    assert digest(SETTINGS) != before


def test_a_missing_or_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="no such folder; run dvc repro features"):
        FeatureStore(tmp_path / "nowhere")
    with pytest.raises(LaspaError, match=r"holds no part-\*.parquet"):
        FeatureStore(tmp_path)


def test_an_utterance_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(LaspaError, match="no features of 2 of 3 utterances, first 'x'"):
        FeatureStore(folder, ["s0/en/0000", "x", "y"])


def test_an_utterance_twice_is_an_error(folder: Path) -> None:
    with pytest.raises(LaspaError, match="'s0/en/0003' appears twice"):
        FeatureStore(folder, ["s0/en/0000", "s0/en/0003", "s0/en/0003"])
    write_shard(folder / shard_name(2), iter(rows(1, first=40)), SETTINGS)
    with pytest.raises(LaspaError, match="'s1/en/0040' appears twice"):
        FeatureStore(folder)


def test_features_of_another_version_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "VERSION", 99)
    with pytest.raises(
        LaspaError, match="features of version 1, this laspa reads 99; run dvc repro features"
    ):
        FeatureStore(folder)


def test_another_kind_of_parquet_is_an_error(folder: Path) -> None:
    pq.write_table(pa.table({"utterance_id": ["a"]}), folder / "part-00000.parquet")
    with pytest.raises(LaspaError, match=r"part-00000.parquet: features of version none"):
        FeatureStore(folder)


def test_shards_of_different_settings_are_an_error(folder: Path) -> None:
    other = mel_settings(PARAMS.model_copy(update={"low_hz": 100.0}))
    write_shard(folder / shard_name(1), iter(rows(10, first=150)), other)
    with pytest.raises(LaspaError, match=r"part-00001.parquet: mel settings .*100\.0.* differ from .*20\.0"):
        FeatureStore(folder)


def test_a_damaged_shard_is_an_error(folder: Path) -> None:
    path = folder / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LaspaError, match=r"part-00001.parquet: not a readable Parquet file"):
        FeatureStore(folder)


def test_a_mel_of_another_size_than_its_frames_is_an_error(folder: Path) -> None:
    bad = [UtteranceMel("bad", np.zeros((3, 5), dtype=np.float16))]
    write_shard(folder / shard_name(2), iter(bad), SETTINGS)
    with pytest.raises(LaspaError, match=r"part-00002.parquet: 'bad' holds 15 values, not 3 × 8"):
        FeatureStore(folder)


def test_crops_are_frames_of_their_utterance_and_short_ones_are_repeated(folder: Path) -> None:
    expected = rows(160)
    store = FeatureStore(folder)
    chosen, first = np.array([151, 5, 5, 66, 13, 0]), np.array([0, 0, 3, 1, 2, 0])
    found = store.crops(chosen, first, 3)
    assert found.dtype == np.float16
    for crop, row, start in zip(found, chosen, first, strict=True):
        whole = expected[row].mel
        np.testing.assert_array_equal(crop, np.take(whole, range(start, start + 3), axis=0, mode="wrap"))


def test_whole_log_mels_are_padded_with_zeros(folder: Path) -> None:
    expected, chosen = rows(160), np.array([155, 3, 70])
    found = FeatureStore(folder).padded(chosen)
    assert found.shape == (3, 4, 8)
    for mel, row in zip(found, chosen, strict=True):
        count = len(expected[row].mel)
        np.testing.assert_array_equal(mel[:count], expected[row].mel)
        assert not mel[count:].any()


def test_reads_equal_those_of_pyarrow_and_survive_a_pickle(folder: Path) -> None:
    store = FeatureStore(folder)
    tables = [pq.read_table(path) for path in sorted(folder.iterdir())]
    stored = pa.concat_tables(tables).to_pylist()
    for read in (store, pickle.loads(pickle.dumps(store))):
        for row in stored:
            assert read.get(row["utterance_id"]).tobytes() == row["mel"]


def test_more_shards_than_may_be_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "OPEN_FILES", 1)
    store = FeatureStore(folder)
    for row in [*rows(160)[140:], *rows(160)[:20]]:
        np.testing.assert_array_equal(store.get(row.utterance_id), row.mel)


def test_a_shard_truncated_while_in_use_is_named(folder: Path) -> None:
    store = FeatureStore(folder)
    store.get("s0/en/0000")
    store.get("s0/en/0159")
    path = folder / "part-00001.parquet"
    os.truncate(path, path.stat().st_size // 4)
    with pytest.raises(LaspaError, match=r"part-00001.parquet: was truncated while in use; run dvc repro"):
        store.get("s0/en/0159")
    np.testing.assert_array_equal(store.get("s0/en/0000"), rows(1)[0].mel)


def test_a_shard_that_has_changed_since_is_named(folder: Path) -> None:
    store = FeatureStore(folder)
    write_shard(folder / "part-00001.parquet", iter(rows(11, first=150)), SETTINGS)
    for _ in range(2):
        with pytest.raises(LaspaError, match=r"part-00001.parquet: has changed while in use; run dvc repro"):
            store.get("s0/en/0159")


def test_a_folder_that_is_away_for_a_moment_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(folder)
    away = folder.with_name("away")
    folder.rename(away)
    monkeypatch.setattr(pieces.time, "sleep", lambda _: away.rename(folder))
    np.testing.assert_array_equal(store.get("s0/en/0000"), rows(1)[0].mel)
    store = FeatureStore(folder)
    folder.rename(away)
    monkeypatch.setattr(pieces, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(LaspaError, match=r"part-00000.parquet: cannot be read \(No such file or directory\)"):
        store.get("s0/en/0000")


def test_a_file_system_that_cannot_tell_what_is_in_the_page_cache_is_read_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.preadv

    def refused(descriptor: int, buffers: list[Any], place: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return read(descriptor, buffers, place)

    store, other = FeatureStore(folder), FeatureStore(folder)
    chosen, first = np.array([151, 5, 66, 13, 5]), np.array([0, 1, 1, 2, 0])
    expected = store.crops(chosen, first, 4)
    monkeypatch.setattr(pieces.os, "preadv", refused)
    np.testing.assert_array_equal(other.crops(chosen, first, 4), expected)


def test_a_file_system_without_a_memory_map_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("mmap.mmap", refused)
    monkeypatch.setattr(pa, "memory_map", refused)
    assert FeatureStore(folder).get("s0/en/0159").tobytes() == rows(160)[159].mel.tobytes()


@pytest.mark.parametrize(
    ("how", "fits"),
    [
        ({"compression": "zstd"}, False),
        ({"compression": "none", "data_page_size": 1, "write_batch_size": 1}, False),
        ({"compression": "none", "data_page_version": "2.0"}, True),  # another header, the same values
    ],
)
def test_a_parquet_file_with_its_mels_elsewhere_is_refused(
    folder: Path, how: dict[str, Any], fits: bool
) -> None:
    path = folder / "part-00001.parquet"
    pq.write_table(pq.read_table(path), path, use_dictionary=False, **how)
    if fits:
        np.testing.assert_array_equal(FeatureStore(folder).get("s0/en/0159"), rows(160)[159].mel)
    else:
        with pytest.raises(LaspaError, match=r"part-00001.parquet: log-mels are compressed or in several"):
            FeatureStore(folder)
