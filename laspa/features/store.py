"""Features on disk (Parquet shards of half-precision log-mels), and fast reading of them."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laspa.errors import LaspaError
from laspa.files import atomic_path, parsed

VERSION = 1  # of the values and of the file format: raise it when either changes
ROWS_PER_GROUP = 64  # read in one piece; some 3 MB of three-second utterances (our choice, measured)
MEL_DTYPE = np.dtype("<f2")
COLUMNS = [
    pa.field("utterance_id", pa.string(), nullable=False),
    pa.field("num_frames", pa.int32(), nullable=False),
    pa.field("mel", pa.binary(), nullable=False),
]
# Keys of a shard's metadata.
SETTINGS_KEY = b"laspa.mel"
VERSION_KEY = b"laspa.version"
DIGEST_KEY = b"laspa.digest"


class UtteranceMel(NamedTuple):
    """`mel` is (frames, mels) float16."""

    utterance_id: str
    mel: np.ndarray


def digest(settings: dict[str, Any]) -> str:
    """SHA-256 of what decides a feature's value: the mel settings and the version."""
    text = json.dumps({"settings": settings, "version": VERSION}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def shard_name(index: int) -> str:
    """File name of shard `index`; names sort as their indices do."""
    return f"part-{index:05d}.parquet"


def write_shard(path: Path, rows: Iterator[UtteranceMel], settings: dict[str, Any]) -> None:
    """Write one shard, a row group at a time, whole or not at all.

    Uncompressed and without dictionary or statistics on the mels: compressing saves 8 % and
    makes reading four times slower.
    """
    metadata = {
        SETTINGS_KEY: json.dumps(settings, sort_keys=True),
        VERSION_KEY: str(VERSION),
        DIGEST_KEY: digest(settings),
    }
    schema = pa.schema(COLUMNS, metadata=metadata)
    plain: dict[str, Any] = {
        "compression": "none",
        "use_dictionary": False,
        "write_statistics": ["utterance_id"],
    }
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, **plain) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(_table(group, schema))


def _table(rows: list[UtteranceMel], schema: pa.Schema) -> pa.Table:
    values = np.concatenate([row.mel for row in rows], dtype=MEL_DTYPE)
    frames = np.array([len(row.mel) for row in rows], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)]) * values.shape[1] * values.itemsize
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(values)]  # no copy per row
    mels = pa.Array.from_buffers(pa.binary(), len(rows), buffers)
    return pa.Table.from_arrays([pa.array([row.utterance_id for row in rows]), frames, mels], schema=schema)


def num_rows(path: Path) -> int:
    """Utterances in a shard; -1 without a readable shard."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid):
        return -1


def read_group(path: Path, group: int) -> list[np.ndarray]:
    """The log-mels of one row group of a shard, each (frames, mels) float16, views of one buffer.

    Raises:
        LaspaError: a shard that cannot be read.
    """
    with parsed(path, "a readable Parquet file", "remove its folder"), pq.ParquetFile(path) as shard:
        settings = json.loads(shard.schema_arrow.metadata[SETTINGS_KEY])
        column = shard.read_row_group(group, columns=["mel"])["mel"]
    return [view.reshape(-1, settings["num_mels"]) for view in _views(column)]


class FeatureStore:
    """The log-mels of a features folder in memory, as one array.

    Attributes:
        utterance_ids: in the order asked for, or as stored (the manifest's order).
        num_frames: (utterances,) int64.
        frames: (total frames, mels) float16, all utterances one after the other.
        offsets: (utterances + 1,) int64; utterance i is `frames[offsets[i]:offsets[i + 1]]`.
        settings: the mel settings, as `laspa.features.settings.mel_settings`.
        digest: of settings and version; equal digests mean comparable features.
    """

    def __init__(self, folder: Path | str, utterance_ids: Sequence[str] | None = None) -> None:
        """Read `utterance_ids`, or all that `folder` holds.

        Raises:
            LaspaError: no such folder, no shards, a shard of another version or other settings, a
                damaged shard, or an utterance that is not there.
        """
        with parsed(folder, "features", "run dvc repro --force --single-item features"):
            self._read(Path(folder), utterance_ids)

    def _read(self, folder: Path, utterance_ids: Sequence[str] | None) -> None:
        shards = _open_shards(folder)
        metadata = next(iter(shards.values())).schema_arrow.metadata
        self.settings: dict[str, Any] = json.loads(metadata[SETTINGS_KEY])
        self.digest: str = metadata[DIGEST_KEY].decode()
        tables = (shard.read(columns=["utterance_id", "num_frames"]) for shard in shards.values())
        columns = pa.concat_tables(tables)
        stored_ids: list[str] = columns["utterance_id"].to_pylist()
        stored_frames = columns["num_frames"].to_numpy().astype(np.int64)

        self.utterance_ids = stored_ids if utterance_ids is None else list(utterance_ids)
        row_of = {utterance_id: row for row, utterance_id in enumerate(stored_ids)}
        _check_ids(folder, self.utterance_ids, stored_ids, row_of)
        self._index = {utterance_id: index for index, utterance_id in enumerate(self.utterance_ids)}
        self.num_frames: np.ndarray = stored_frames[[row_of[one] for one in self.utterance_ids]]
        self.offsets: np.ndarray = np.concatenate([[0], np.cumsum(self.num_frames)]).astype(np.int64)
        shape = int(self.offsets[-1]), int(self.settings["num_mels"])
        self.frames: np.ndarray = np.empty(shape, dtype=np.float16)
        self._fill(shards, stored_ids)

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def get(self, utterance_id: str) -> np.ndarray:
        """The log-mel of one utterance, (frames, mels) float16, a view.

        Raises:
            LaspaError: an utterance that was not read.
        """
        if utterance_id not in self._index:
            raise LaspaError(f"features: no utterance {utterance_id!r} among the {len(self)} read")
        index = self._index[utterance_id]
        return self.frames[self.offsets[index] : self.offsets[index + 1]]

    def _fill(self, shards: dict[Path, pq.ParquetFile], stored_ids: list[str]) -> None:
        """Copy each wanted utterance to its place; row groups with none are not read."""
        flat, mels = self.frames.reshape(-1), self.frames.shape[1]
        left = iter(stored_ids)
        for path, shard in shards.items():
            for group in range(shard.num_row_groups):
                ids = islice(left, shard.metadata.row_group(group).num_rows)
                indices = [self._index.get(utterance_id) for utterance_id in ids]
                if all(index is None for index in indices):
                    continue
                views = _views(shard.read_row_group(group, columns=["mel"])["mel"])
                for index, view in zip(indices, views, strict=True):
                    if index is None:
                        continue
                    place = flat[self.offsets[index] * mels : self.offsets[index + 1] * mels]
                    if len(view) != len(place):
                        raise LaspaError(
                            f"{path}: {self.utterance_ids[index]!r} holds {len(view)} values, not "
                            f"{self.num_frames[index]} × {mels}; run dvc repro features"
                        )
                    place[:] = view


def _open_shards(folder: Path) -> dict[Path, pq.ParquetFile]:
    def refused(path: Path, reason: str) -> LaspaError:
        return LaspaError(f"{path}: {reason}; run dvc repro features")

    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise refused(folder, "holds no part-*.parquet" if folder.is_dir() else "no such folder")
    shards: dict[Path, pq.ParquetFile] = {}
    first: dict[bytes, bytes] = {}
    for path in paths:
        try:
            shards[path] = pq.ParquetFile(path, memory_map=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise refused(path, f"not a readable Parquet file ({error})") from None
        metadata = shards[path].schema_arrow.metadata or {}
        version = metadata.get(VERSION_KEY, b"none").decode()
        if version != str(VERSION):
            raise refused(path, f"features of version {version}, this laspa reads {VERSION}")
        first = first or metadata
        if metadata[DIGEST_KEY] != first[DIGEST_KEY]:
            own, other = metadata[SETTINGS_KEY].decode(), first[SETTINGS_KEY].decode()
            raise refused(path, f"mel settings {own} differ from {other} of {paths[0].name}")
    return shards


def _check_ids(folder: Path, wanted: list[str], stored: list[str], row_of: dict[str, int]) -> None:
    for ids in (stored, wanted):
        if len(set(ids)) < len(ids):
            twice = next(utterance_id for utterance_id, count in Counter(ids).items() if count > 1)
            raise LaspaError(f"{folder}: utterance {twice!r} appears twice; ids must be unique")
    missing = [utterance_id for utterance_id in wanted if utterance_id not in row_of]
    if missing:
        raise LaspaError(
            f"{folder}: no features of {len(missing)} of {len(wanted)} utterances, first {missing[0]!r}; "
            "the manifest has changed since: run dvc repro features"
        )


def _views(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    """The values of each row, as a view of Arrow's buffer: no Python object per value."""
    for chunk in column.chunks:
        _, offsets_buffer, data = chunk.buffers()
        offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        values = np.frombuffer(data, dtype=MEL_DTYPE)
        for begin, end in pairwise(offsets // MEL_DTYPE.itemsize):
            yield values[begin:end]
