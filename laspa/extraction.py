"""From audio files to a features folder: shards computed by worker processes, and a killed run goes on."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from laspa import features
from laspa.audio import SAMPLE_RATE, read_audio
from laspa.errors import LaspaError
from laspa.framing import mel_settings
from laspa.params import Features
from laspa.progress import progress


class Utterance(NamedTuple):
    """What is read (`path`), what it is called, and what it held when the manifest was made."""

    utterance_id: str
    path: Path
    sha256: str


class Shard(NamedTuple):
    """The work of one process at one time."""

    path: Path
    utterances: list[Utterance]
    settings: Features


def extract(
    utterances: Sequence[Utterance],
    settings: Features,
    folder: Path,
    partial: Path,
    workers: int | None = None,
) -> None:
    """Write the log-mels of `utterances`, in their order, as shards in `folder`.

    Shards are collected under `partial` and moved to `folder` when all are there, so that a run
    that was killed goes on from its finished shards. The bytes do not depend on `workers`.

    Args:
        utterances: ids, files and their digests.
        settings: mel settings and utterances a shard.
        folder: replaced as a whole at the end.
        partial: a folder for unfinished work, on the same file system.
        workers: processes; by default all cores that this process may use. 1 works in this process.

    Raises:
        LaspaError: an unreadable, too short or non-finite recording, or a worker that was killed.
    """
    if not utterances:
        raise LaspaError("data/manifest.parquet: no utterances, so there is nothing to extract")
    unfinished = partial / f"features-{_digest(utterances, settings)[:16]}"
    unfinished.mkdir(parents=True, exist_ok=True)
    size = settings.shard_utterances
    shards = [
        Shard(unfinished / features.shard_name(index), list(utterances[start : start + size]), settings)
        for index, start in enumerate(range(0, len(utterances), size))
    ]
    _remove_others(unfinished, {shard.path for shard in shards})
    for _ in progress(_extracted(shards, workers or available_cores()), len(shards), "features", "shard"):
        pass
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, folder)


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_shard(shard: Shard) -> None:
    """Compute and write one shard, on one thread."""
    import torch  # here, not above: the parent process needs no torch and starts its workers at once

    from laspa.mel import log_mel

    def rows() -> Iterator[features.Row]:
        for utterance_id, path, _ in shard.utterances:
            signal = read_audio(path, SAMPLE_RATE)
            try:
                yield features.Row(utterance_id, log_mel(signal, shard.settings))
            except LaspaError as error:
                raise LaspaError(f"utterance {utterance_id} ({path}): {error}") from None

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two processes beat two threads, and sums are added in one order
    try:
        features.write_shard(shard.path, rows(), mel_settings(shard.settings))
    finally:
        torch.set_num_threads(threads)


def _extracted(shards: list[Shard], workers: int) -> Iterator[None]:
    """Compute what is missing; yields once for each shard."""
    missing = []
    for shard in shards:
        if features.num_rows(shard.path) == len(shard.utterances):
            yield
        else:
            missing.append(shard)
    if workers == 1 or len(missing) == 1:
        for shard in missing:
            write_shard(shard)
            yield
    elif missing:
        yield from _in_processes(missing, workers)


def _in_processes(shards: list[Shard], workers: int) -> Iterator[None]:
    # Spawned, not forked: a fork of a process with running threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, initializer=_end_with_parent)
    try:
        for future in as_completed([pool.submit(write_shard, shard) for shard in shards]):
            yield future.result()
    except BrokenProcessPool:
        raise LaspaError(
            "features: a worker process was killed, most likely for want of memory; "
            "finished shards are kept, run again to go on from them"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker leave Ctrl-C to its parent, and end when the parent is gone, however that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _digest(utterances: Sequence[Utterance], settings: Features) -> str:
    """Of everything that decides what the shards hold."""
    lines = [f"{one.utterance_id}\t{one.sha256}" for one in utterances]
    head = f"{features.digest(mel_settings(settings))} {settings.shard_utterances}"
    return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()


def _remove_others(unfinished: Path, wanted: set[Path]) -> None:
    """Remove what runs with other settings, and killed writers, have left behind."""
    for folder in unfinished.parent.glob("features-*"):
        if folder != unfinished:
            shutil.rmtree(folder)
    for path in unfinished.iterdir():
        if path not in wanted:
            path.unlink()
