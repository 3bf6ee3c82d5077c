"""Enrolled speakers on disk: one Parquet file of names and embeddings, written whole, searched in blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from laspa.errors import LaspaError
from laspa.evaluation.score_files import MODEL_KEY
from laspa.files import atomic_path, parsed

ROWS_PER_GROUP = 65_536  # compared at a time: 50 MB of 192 dimensions
FLOAT = 4  # bytes
STORE = "a store of enrolled speakers"
LOCK_SECONDS = 60.0  # another enrolment is waited for; one into a million rows takes a few seconds


class Match(NamedTuple):
    """An enrolled name and the score of its embedding: the cosine, or that of a backend."""

    name: str
    score: float


class Store:
    """A Parquet file with a row per enrolled name: name, embedding (unit length, float32), recordings.

    Embeddings are fixed-size binary: reading lists of numbers takes twelve times as long.

    Readers see the file before or after an enrolment, never half of it. Two writers take turns.
    """

    def __init__(self, path: Path | str, digest: str) -> None:
        """A store, which need not exist yet, for embeddings of the model with this digest.

        Raises:
            LaspaError: a store of another model, or no store at all.
        """
        self.path, self.digest = Path(path), digest
        if self.path.exists():
            self._open().close()

    def enrol(
        self, names: Sequence[str], vectors: np.ndarray, recordings: Sequence[int], replace: bool = False
    ) -> int:
        """Add names, all or none.

        Args:
            vectors: (names, D) float32 of unit length. recordings: how many each is the mean of.
            replace: names that are enrolled already get the new embedding.

        Returns:
            how many names the store has now.

        Raises:
            LaspaError: a bad name, a name given twice or enrolled already, embeddings of another size, or a
                place that cannot be written.
        """
        for name in names:
            check_name(name)
        if len(set(names)) < len(names):
            raise LaspaError(f"{self.path}: a name comes twice among the {len(names)} to enrol")
        with self._locked():
            new = _table(names, vectors, recordings, self.digest)
            if self.path.exists():
                with parsed(self.path, STORE), self._open() as file:
                    old = file.read()
                known = pc.is_in(old["name"], value_set=new["name"].combine_chunks())
                if not replace and (twice := old["name"].filter(known).to_pylist()):
                    raise LaspaError(
                        f"{self.path}: {twice[0]!r} is enrolled already; take another name, or use --replace"
                    )
                if old["embedding"].type != new["embedding"].type:
                    raise self._other_size(old["embedding"].type.byte_width // FLOAT, vectors.shape[1])
                kept = old.filter(pc.invert(known)) if pc.any(known).as_py() else old
                new = pa.concat_tables([kept, new])
            with atomic_path(self.path) as temporary:
                # Neither compressed nor in a dictionary: vectors do not shrink, and reading is a copy.
                pq.write_table(
                    new,
                    temporary,
                    row_group_size=ROWS_PER_GROUP,
                    compression="none",
                    use_dictionary=False,
                    write_statistics=False,
                )
            return new.num_rows

    def identify(
        self,
        vector: np.ndarray,
        top: int = 5,
        score: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda one, others: others @ one,
    ) -> list[Match]:
        """The enrolled names whose embeddings are nearest to `vector` (D,), best first.

        Args:
            score: of (D,) and (n, D), (n,); by default the cosine.

        Raises:
            LaspaError: no such store, or an empty or damaged one.
        """
        best: list[tuple[float, int, int]] = []  # minus the score, row group, row in it
        with parsed(self.path, STORE), self._open() as file:
            for group in range(file.num_row_groups):
                rows = _vectors(file.read_row_group(group, columns=["embedding"]))
                if rows.shape[1] != len(vector):
                    raise self._other_size(rows.shape[1], len(vector))
                scores = score(vector, rows)
                nearest = np.argpartition(-scores, min(top, len(scores)) - 1)[:top]
                best = sorted(best + [(-float(scores[row]), group, int(row)) for row in nearest])[:top]
            names = {
                group: file.read_row_group(group, columns=["name"])["name"]
                for group in {one[1] for one in best}
            }
            matches = [Match(names[group][row].as_py(), -score) for score, group, row in best]
        if not matches:
            raise LaspaError(f"{self.path}: nobody is enrolled; enrol somebody first (laspa enrol)")
        return matches

    def _other_size(self, there: int, here: int) -> LaspaError:
        return LaspaError(
            f"{self.path}: holds embeddings of {there} dimensions, not {here}; use the model that it was "
            "made with, or another store"
        )

    def _open(self) -> pq.ParquetFile:
        if not self.path.exists():
            raise LaspaError(f"{self.path}: no such store; enrol somebody first (laspa enrol)")
        with parsed(self.path, STORE):
            file = pq.ParquetFile(self.path, memory_map=True)
        model = (file.schema_arrow.metadata or {}).get(MODEL_KEY, b"").decode(errors="replace")
        if model != self.digest:
            whose = (
                f"of another model ({model[:12]}, this one is {self.digest[:12]})" if model else "no store"
            )
            raise LaspaError(
                f"{self.path}: {whose}; name the model by --model, or enrol into a new store with this one"
            )
        return file

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.touch()  # FileLock waits for a file that it may not write as for one that is locked
        except OSError as error:
            raise LaspaError(
                f"{self.path}: cannot be written here ({error.strerror}); name a store in another folder"
            ) from None
        try:
            with FileLock(lock, timeout=LOCK_SECONDS):
                for left in self.path.parent.glob(f".{self.path.name}.*.tmp"):  # of a killed enrolment
                    left.unlink(missing_ok=True)
                yield
        except Timeout:
            raise LaspaError(
                f"{self.path}: another enrolment has held {lock} for {LOCK_SECONDS:g} s; try again"
            ) from None


def check_name(name: str) -> None:
    """Refuse what could be taken for a path, or cannot be read.

    Raises:
        LaspaError: names what is wrong.
    """
    if not name.strip() or not name.isprintable() or ".." in name or set(name) & set("/\\"):
        raise LaspaError(f"name {name!r}: must not be empty, nor hold / \\ .. or control characters")


def _table(names: Sequence[str], vectors: np.ndarray, recordings: Sequence[int], digest: str) -> pa.Table:
    values = np.ascontiguousarray(vectors, dtype=np.float32)
    kind = pa.binary(values.shape[1] * FLOAT)
    embeddings = pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    columns = {
        "name": pa.array(names, pa.string()),
        "embedding": embeddings,
        "recordings": pa.array(recordings, pa.int32()),
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    return pa.Table.from_arrays([*columns.values()], schema=pa.schema(fields, metadata={MODEL_KEY: digest}))


def _vectors(table: pa.Table) -> np.ndarray:
    """(rows, D) float32, a view."""
    column = table["embedding"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    width = column.type.byte_width // FLOAT
    start, count = column.offset * width, len(column) * width
    return np.frombuffer(column.buffers()[1], np.float32, start + count)[start:].reshape(-1, width)
