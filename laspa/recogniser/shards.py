"""Embeddings of very many recordings: a folder of Parquet shards, which a killed run resumes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from laspa.audio.decoders import MissingDecoder
from laspa.audio.streaming import Channel
from laspa.errors import LaspaError
from laspa.evaluation.score_files import MODEL_KEY, embeddings_table
from laspa.files import atomic_path, read_json, write_json
from laspa.progress import progress
from laspa.recogniser.recogniser import Recogniser

JOB_FILE = ".job.json"  # what the shards of a folder are; a dot keeps it from readers of the folder
SKIPPED_KEY = b"laspa.skipped"  # of a shard's metadata: [[utterance_id, reason], …]


@dataclass(frozen=True)
class Job:
    """How recordings are embedded: the arguments of `Recogniser.load` and `Recogniser.embed`.

    skip: list bad recordings and go on, or else fail.
    """

    model: str
    device: str = "auto"
    channel: Channel = None
    vad: str = "energy"
    skip: bool = False
    front_end: str | None = None

    def recogniser(self, threads: int | None = None) -> Recogniser:
        """Loads the model."""
        return Recogniser.load(self.model, self.device, threads, self.front_end)


class Shard(NamedTuple):
    """A file to write, and the names and paths of its recordings."""

    path: str
    names: list[str]
    recordings: list[str]


# Runs `embed_shard` on each shard and yields once per shard.
Engine = Callable[[Job, list[Shard]], Iterator[None]]


def embed_in_shards(
    files: Sequence[tuple[str, Path]], folder: Path, job: Job, size: int, engine: Engine
) -> tuple[int, int]:
    """Write the embeddings of `files` as `part-….parquet` in `folder`, `size` recordings a file, in order.

    A shard is written whole or not at all, and one that is there is not computed again. Bad recordings are
    listed in `FOLDER.skipped.csv`. The bytes depend neither on the engine nor on earlier runs.

    Args:
        files: names (utterance_id) and paths.

    Returns:
        How many embeddings the folder has, and how many recordings were skipped.

    Raises:
        LaspaError: a folder with other embeddings, or what the engine raises; finished shards stay.
    """
    _claim(folder, files, job, size)
    shards = []
    for start in range(0, len(files), size):
        part = files[start : start + size]
        path = folder.absolute() / f"part-{start // size:06d}.parquet"
        recordings = [str(file.absolute()) for _, file in part]  # the workers of a cluster start elsewhere
        shards.append(Shard(str(path), [name for name, _ in part], recordings))
    for left in folder.glob(".part-*.tmp"):  # of a killed run
        left.unlink(missing_ok=True)
    missing = [shard for shard in shards if not Path(shard.path).exists()]
    if len(missing) < len(shards):
        print(f"{len(shards) - len(missing)} of {len(shards)} shards are there already")
    absolute = os.path.abspath(job.model) if Path(job.model).exists() else job.model
    if missing:
        done = engine(Job(**asdict(job) | {"model": absolute}), missing)
        for _ in progress(done, len(missing), "embed", "shard"):
            pass
    return _finish(folder, shards)


def embed_shard(shard: Shard, recogniser: Recogniser, job: Job) -> None:
    """Embed the recordings of one shard, on one thread, and write it.

    Raises:
        LaspaError: a bad recording that is not to be skipped.
    """
    skipped: list[tuple[str, str]] = []
    found = list(embeddings(zip(shard.names, shard.recordings, strict=True), recogniser, job, skipped))
    vectors = np.array([vector for _, vector in found], np.float32).reshape(-1, recogniser.runtime.dim)
    metadata = {MODEL_KEY: recogniser.digest, SKIPPED_KEY: json.dumps(skipped)}
    with atomic_path(shard.path) as temporary:
        table = embeddings_table([name for name, _ in found], vectors, metadata)
        pq.write_table(table, temporary, compression="none")


def embeddings(
    files: Iterable[tuple[str, str | Path]], recogniser: Recogniser, job: Job, skipped: list[tuple[str, str]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and embedding of each recording; with `job.skip` bad ones go into `skipped`, with the reason.

    Raises:
        LaspaError: a bad recording that is not to be skipped.
    """
    for name, recording in files:
        try:
            yield name, recogniser.embed(recording, channel=job.channel, vad=job.vad)
        except MissingDecoder:
            raise
        except LaspaError as error:
            if not job.skip:
                raise
            skipped.append((name, str(error).removeprefix(f"{recording}: ")))


def write_skipped(table: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write utterance_id and reason of each skipped recording; no file where there are none."""
    table.unlink(missing_ok=True)
    if rows:
        columns = {"utterance_id": [one for one, _ in rows], "reason": [why for _, why in rows]}
        with atomic_path(table) as temporary:
            pa.csv.write_csv(pa.table(columns), temporary)


def local_engine(job: Job, shards: list[Shard]) -> Iterator[None]:
    """An `Engine`: one shard after the other, in this process."""
    recogniser = job.recogniser(threads=1)
    for shard in shards:
        embed_shard(shard, recogniser, job)
        yield


def _claim(folder: Path, files: Sequence[tuple[str, Path]], job: Job, size: int) -> None:
    """Write down what the folder holds, or check it."""
    lines = "\n".join(f"{name}\t{path}" for name, path in files)
    options = {"channel": job.channel, "vad": job.vad, "on_bad_audio": "skip" if job.skip else "fail"}
    recordings = hashlib.sha256(lines.encode()).hexdigest()
    model = job.recogniser().digest
    wanted = {"model": model, "recordings": recordings, "shard_size": size, **options}
    file = folder / JOB_FILE
    if file.exists():
        found = read_json(file)
        differ = [name for name in wanted if found.get(name) != wanted[name]]
        if differ:
            raise LaspaError(
                f"{folder}: holds embeddings of another job, with another {', '.join(differ)}; name another "
                "--output, or remove it"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LaspaError(f"{folder}: is there and not of an earlier run; name another --output")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, wanted)


def _finish(folder: Path, shards: list[Shard]) -> tuple[int, int]:
    """Write the table of skipped recordings; count both kinds."""
    rows: list[list[str]] = []
    written = 0
    for shard in shards:
        about = pq.read_metadata(shard.path)
        skipped = json.loads(about.metadata[SKIPPED_KEY])
        rows += skipped
        written += about.num_rows
        if about.num_rows + len(skipped) != len(shard.names):
            raise LaspaError(f"{shard.path}: not the shard of these recordings; remove it and run again")
    write_skipped(folder.with_name(f"{folder.name}.skipped.csv"), rows)
    return written, len(rows)
