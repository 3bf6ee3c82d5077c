"""Features on disk (Parquet shards of half-precision log-mels), and reading of pieces of them."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laspa.errors import LaspaError, one_line
from laspa.features.pieces import Pieces, State, state_of
from laspa.files import atomic_path, parsed

VERSION = 1  # of the values and of the file format: raise it when either changes
ROWS_PER_GROUP = 64  # read in one piece; some 3 MB of three-second utterances (our choice, measured)
MEL_DTYPE = np.dtype("<f2")
LENGTH_BYTES = 4  # before each value of a column of bytes, as Parquet stores it plain
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
    """The log-mels of a features folder, read from its shards when they are asked for.

    An uncompressed Parquet file holds each log-mel as one run of bytes, so a crop is one read at a known
    place. Memory grows by some 200 bytes an utterance, not by its frames; the page cache, which all processes
    of a machine share, keeps what fits. Reads rather than a memory map: a file that is truncated meanwhile is
    an error and not a SIGBUS, and no pages count as this process's own.

    Attributes:
        utterance_ids: in the order asked for, or as stored (the manifest's order).
        num_frames: (utterances,) int64.
        num_mels: bands per frame.
        settings: the mel settings, as `laspa.features.settings.mel_settings`.
        digest: of settings and version; equal digests mean comparable features.
    """

    def __init__(self, folder: Path | str, utterance_ids: Sequence[str] | None = None) -> None:
        """Find `utterance_ids`, or all that `folder` holds.

        Raises:
            LaspaError: no such folder, no shards, a shard of another version or other settings, a
                damaged shard, or an utterance that is not there.
        """
        with parsed(folder, "features", "run dvc repro --force --single-item features"):
            shards = _shards(Path(folder))
            metadata = shards[0].metadata
            self.settings: dict[str, Any] = json.loads(metadata[SETTINGS_KEY])
            self.digest: str = metadata[DIGEST_KEY].decode()
            self.num_mels = int(self.settings["num_mels"])
            stored_ids = pa.chunked_array([chunk for shard in shards for chunk in shard.utterance_ids.chunks])
            wanted = stored_ids if utterance_ids is None else pa.array(utterance_ids, pa.string())
            self.utterance_ids: list[str] = wanted.to_pylist()
            self._row_of = {utterance_id: row for row, utterance_id in enumerate(self.utterance_ids)}
            stored = np.arange(len(stored_ids))
            if utterance_ids is not None:
                stored = pc.index_in(wanted, value_set=stored_ids).fill_null(-1).to_numpy()
            _check_ids(folder, wanted, stored_ids, stored)
            self.num_frames: np.ndarray = np.concatenate([shard.num_frames for shard in shards])[stored]
            self._shard = np.repeat(np.arange(len(shards)), [len(shard.place) for shard in shards])[stored]
            self._place = np.concatenate([shard.place for shard in shards])[stored]
            self._pieces = Pieces([(shard.path, shard.state) for shard in shards])

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def rows(self, utterance_ids: Sequence[str]) -> np.ndarray:
        """The rows of these utterances, (utterances,).

        Raises:
            LaspaError: an utterance that was not asked for.
        """
        try:
            return np.array([self._row_of[one] for one in utterance_ids], dtype=np.int64)
        except KeyError as error:
            message = f"features: no utterance {error.args[0]!r} among the {len(self)} read"
            raise LaspaError(message) from None

    def get(self, utterance_id: str) -> np.ndarray:
        """The log-mel of one utterance, (frames, mels) float16.

        Raises:
            LaspaError: an utterance that was not asked for; otherwise as `crops`.
        """
        return self.padded(self.rows([utterance_id]))[0]

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Whole log-mels, followed by zeros: (rows, longest, mels) float16; raises as `crops`."""
        lengths = self.num_frames[rows]
        made = np.zeros((len(rows), lengths.max(initial=0), self.num_mels), MEL_DTYPE)
        self._read(rows, np.zeros_like(lengths), lengths, made)
        return made

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """`frames` frames of each row from its frame `first`; a shorter log-mel is repeated.

        Returns:
            (rows, frames, mels) float16.

        Raises:
            LaspaError: a shard that has changed or cannot be read; the message names it.
        """
        made = np.empty((len(rows), frames, self.num_mels), MEL_DTYPE)
        lengths = np.minimum(self.num_frames[rows] - first, frames)
        self._read(rows, first, lengths, made)
        for i in np.flatnonzero(lengths < frames):
            made[i] = np.resize(made[i, : lengths[i]], made[i].shape)
        return made

    def _read(self, rows: np.ndarray, first: np.ndarray, lengths: np.ndarray, made: np.ndarray) -> None:
        """Begin each row of `made` with `lengths` frames of its utterance, from frame `first`."""
        frame = self.num_mels * MEL_DTYPE.itemsize
        places = (self._place[rows] + first * frame).tolist()
        begin = np.arange(len(rows)) * (made.shape[1] * frame)
        ends = (begin + lengths * frame).tolist()
        view = made.reshape(-1).view(np.uint8).data
        buffers = [view[one:end] for one, end in zip(begin.tolist(), ends, strict=True)]
        self._pieces.read(list(zip(self._shard[rows].tolist(), places, buffers, strict=True)))


class _Shard(NamedTuple):
    """What a shard holds, and `place`, (rows,): where in the file each log-mel begins."""

    path: Path
    state: State
    metadata: dict[bytes, bytes]
    utterance_ids: pa.ChunkedArray
    num_frames: np.ndarray
    place: np.ndarray


def _shards(folder: Path) -> list[_Shard]:
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise _refused(folder, "holds no part-*.parquet" if folder.is_dir() else "no such folder")
    shards: list[_Shard] = []
    for path in paths:
        try:
            shards.append(_shard(path))
        except (OSError, pa.ArrowInvalid) as error:
            raise _refused(path, f"not a readable Parquet file ({one_line(error)})") from None
        own, first = shards[-1].metadata, shards[0].metadata
        if own[DIGEST_KEY] != first[DIGEST_KEY]:
            differ = f"{own[SETTINGS_KEY].decode()} differ from {first[SETTINGS_KEY].decode()}"
            raise _refused(path, f"mel settings {differ} of {paths[0].name}")
    return shards


def _shard(path: Path) -> _Shard:
    """Where things are in one shard. A row group's log-mels are one page, which ends where the group ends."""
    with open(path, "rb") as file, pq.ParquetFile(file) as shard:
        metadata = shard.schema_arrow.metadata or {}
        version = metadata.get(VERSION_KEY, b"none").decode()
        if version != str(VERSION):
            raise _refused(path, f"features of version {version}, this laspa reads {VERSION}")
        columns = shard.read(columns=["utterance_id", "num_frames"])
        num_frames = columns["num_frames"].to_numpy().astype(np.int64)
        mels = int(json.loads(metadata[SETTINGS_KEY])["num_mels"])
        places, done = [np.empty(0, np.int64)], 0
        for group in range(shard.num_row_groups):
            chunk = shard.metadata.row_group(group).column(shard.schema_arrow.names.index("mel"))
            frames = num_frames[done : done + chunk.num_values]
            sizes = LENGTH_BYTES + frames * mels * MEL_DTYPE.itemsize
            end = chunk.data_page_offset + chunk.total_compressed_size
            places.append(end - np.cumsum(sizes[::-1])[::-1] + LENGTH_BYTES)
            length = os.pread(file.fileno(), LENGTH_BYTES, max(0, int(places[-1][0]) - LENGTH_BYTES))
            if int.from_bytes(length, "little") != sizes[0] - LENGTH_BYTES:
                ids = columns["utterance_id"].slice(done, len(frames))
                raise _refused(path, _misfit(shard, group, ids.to_pylist(), frames, mels))
            done += len(frames)
        state = state_of(file.fileno())
        return _Shard(path, state, metadata, columns["utterance_id"], num_frames, np.concatenate(places))


def _misfit(shard: pq.ParquetFile, group: int, ids: list[str], frames: np.ndarray, mels: int) -> str:
    """Why log-mels are not where a shard of this laspa has them."""
    for name, count, view in zip(ids, frames, _views(shard.read_row_group(group)["mel"]), strict=True):
        if len(view) != count * mels:
            return f"{name!r} holds {len(view)} values, not {count} × {mels}"
    return "log-mels are compressed or in several pages, which this laspa does not write"


def _refused(path: Path, reason: str) -> LaspaError:
    return LaspaError(f"{path}: {reason}; run dvc repro features")


def _check_ids(folder: Path | str, wanted: pa.Array, stored_ids: pa.ChunkedArray, stored: np.ndarray) -> None:
    for ids in (stored_ids, wanted):
        if len(pc.unique(ids)) < len(ids):
            twice = Counter(ids.to_pylist()).most_common(1)[0][0]
            raise LaspaError(f"{folder}: utterance {twice!r} appears twice; ids must be unique")
    if len(missing := np.flatnonzero(stored < 0)):
        raise LaspaError(
            f"{folder}: no features of {len(missing)} of {len(wanted)} utterances, first "
            f"{wanted[missing[0]].as_py()!r}; the manifest has changed since: run dvc repro features"
        )


def _views(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    """The values of each row, as a view of Arrow's buffer: no Python object per value."""
    for chunk in column.chunks:
        _, offsets_buffer, data = chunk.buffers()
        offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        values = np.frombuffer(data, dtype=MEL_DTYPE)
        for begin, end in pairwise(offsets // MEL_DTYPE.itemsize):
            yield values[begin:end]
