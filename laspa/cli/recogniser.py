"""`laspa embed`, `verify`, `enrol` and `identify`; their options are described in laspa/cli/main.py."""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from laspa.audio.decoders import READ
from laspa.audio.kinds import is_recording
from laspa.corpora.disk import files as walked
from laspa.errors import LaspaError
from laspa.evaluation.score_files import MODEL_KEY, embeddings_table
from laspa.files import atomic_path
from laspa.hooks import hook
from laspa.progress import progress
from laspa.recogniser.recogniser import Recogniser
from laspa.recogniser.shards import Job, embed_in_shards, embeddings, local_engine, write_skipped
from laspa.recogniser.store import Store, check_name
from laspa.text import is_utf_8, printable, read_table

ROWS_PER_GROUP = 1024  # embeddings in memory at a time
SAME, DIFFERENT = 0, 1  # exit status of verify
PAIRS = {"same": "the same language", "different": "different languages", "any": "any languages"}


def embed(options: argparse.Namespace) -> None:
    """Write a table of embeddings, whole or not at all, or a folder of shards."""
    files, output = list(_files(options)), Path(options.output)
    skip = options.on_bad_audio == "skip"
    job = Job(options.model, options.device, options.channel, options.vad, skip, options.front_end)
    if not output.suffix:
        engine = local_engine if options.engine == "local" else hook("laspa.embed", options.engine, "tune")
        written, count = embed_in_shards(files, output, job, options.shard_size, engine)
        skipped_too = f"; {count} skipped: {output}.skipped.csv" if count else ""
        print(f"{written} embeddings in {output}{skipped_too}")
        return
    if output.suffix != ".parquet":
        raise LaspaError(
            f"--output {output}: a name that ends in .parquet is needed, or a folder's for shards"
        )
    if options.engine != "local":
        raise LaspaError(f"--engine {options.engine} writes shards: --output {output} should name a folder")
    recogniser = job.recogniser()
    skipped: list[tuple[str, str]] = []
    rows = embeddings(progress(files, len(files), "embed", unit="file"), recogniser, job, skipped)
    with atomic_path(output) as temporary:
        written = _write(temporary, rows, recogniser.digest)
        if not written:
            raise LaspaError(f"none of {len(files)} recordings can be used; {skipped[0][0]}: {skipped[0][1]}")
    table = output.with_suffix(".skipped.csv")
    write_skipped(table, skipped)
    print(f"{written} embeddings in {output}" + (f"; {len(skipped)} skipped: {table}" if skipped else ""))


def _recogniser(options: argparse.Namespace, backend: str | None = None) -> Recogniser:
    return Recogniser.load(options.model, options.device, front_end=options.front_end, backend=backend)


def _write(path: Path, rows: Iterator[tuple[str, np.ndarray]], digest: str) -> int:
    """Write a row group at a time; how many rows there are."""
    count = 0
    writer: pq.ParquetWriter | None = None
    try:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            vectors = np.stack([vector for _, vector in group])
            table = embeddings_table([name for name, _ in group], vectors, {MODEL_KEY: digest})
            writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
            writer.write_table(table)
            count += len(group)
    finally:
        if writer is not None:
            writer.close()
    return count


def _files(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Names and files: of a folder relative to it, of a manifest its utterance_id, else as given.

    Raises:
        LaspaError: a folder without recordings, or a name that is not UTF-8.
    """
    for name, path in _named_files(options):
        if not is_utf_8(name):
            raise LaspaError(
                f"{printable(path)}: its name is not UTF-8; rename it, such as by convmv -f latin1 -t utf-8"
            )
        yield name, path


def _named_files(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    sources = [Path(one) for one in options.sources]
    if len(sources) > 1 or not (sources[0].is_dir() or sources[0].suffix in (".parquet", ".csv", ".tsv")):
        yield from ((str(one), one) for one in sources)
    elif sources[0].is_dir():
        folder = sources[0]
        there = (Path(name) for name, size in walked(folder) if size is not None)
        found = sorted(path for path in there if is_recording(folder / path))
        if not found:
            raise LaspaError(f"{folder}: holds no recordings ({READ})")
        yield from ((path.as_posix(), folder / path) for path in found)
    else:
        table = read_table(sources[0], ["path"], ["utterance_id"])
        names, root = table.get("utterance_id", table["path"]), Path(options.root)
        yield from ((name, root / path) for name, path in zip(names, table["path"], strict=True))


def verify(options: argparse.Namespace) -> int:
    """Print whether two recordings are of one speaker; the exit status says it too."""
    found = _recogniser(options, backend=options.backend).verify(
        options.first,
        options.second,
        threshold=options.threshold,
        far=options.far,
        prior=options.prior,
        channel=options.channel,
        vad=options.vad,
    )
    for path, otherwise in zip((options.first, options.second), found.recorded_otherwise, strict=True):
        _warn(options, path, otherwise)
    if options.json:
        print(json.dumps(found.as_dict(), indent=2))
        return SAME if found.same else DIFFERENT
    print("same speaker" if found.same else "different speakers")
    print(f"score        {found.score:.3f}, threshold {found.threshold:.3f}")
    if found.probability is None:
        print("probability  not known: there is no calibration")
    else:
        print(f"probability  {found.probability:.3f} of one speaker, at a prior of {found.prior:g}")
        pairs = PAIRS[str(found.languages_heard)]
        print(f"log ratio    {found.log_likelihood_ratio:+.2f}, for pairs in {pairs}")
    for path, language in zip((options.first, options.second), found.languages, strict=True):
        told = "no language" if language is None else f"{language.code} ({language.posterior:.2f})"
        print(f"heard        {told} in {path}")
    return SAME if found.same else DIFFERENT


def _warn(options: argparse.Namespace, path: str, otherwise: bool) -> None:
    if otherwise:
        print(
            f"warning: {path}: probably not recorded like the speakers that {options.backend} was learnt of, "
            "so that its scores are of little use; leave out --backend, or fit one on such recordings",
            file=sys.stderr,
        )


def enrol(options: argparse.Namespace) -> None:
    """Enrol the mean of the recordings' embeddings under a name."""
    check_name(options.name)
    recogniser = _recogniser(options)
    store = Store(options.store, recogniser.digest)
    vectors = recogniser.embed(options.files, channel=options.channel, vad=options.vad)
    mean = vectors.mean(axis=0)
    mean /= np.linalg.norm(mean)
    count = store.enrol([options.name], mean[None], [len(vectors)], options.replace)
    print(f"{options.name} enrolled from {len(vectors)} recording(s); {options.store} has {count} name(s)")


def identify(options: argparse.Namespace) -> None:
    """Print the nearest enrolled names and the scores of their embeddings."""
    recogniser = _recogniser(options, backend=options.backend)
    heard = recogniser.hear(options.file, channel=options.channel, vad=options.vad)
    _warn(options, options.file, recogniser.recorded_otherwise(heard))
    found = Store(options.store, recogniser.digest).identify(heard.embedding, options.top, recogniser.scores)
    if options.json:
        print(json.dumps([match._asdict() for match in found], indent=2))
        return
    for match in found:
        print(f"{match.score:.3f}  {match.name}")
