"""From audio files to a features folder: shards computed by worker processes, and a killed run goes on.

What the run before had computed is taken over, so that a new speaker costs the new speaker.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from laspa.audio.augmentation import Change, changed
from laspa.audio.reading import SAMPLE_RATE, read_audio
from laspa.errors import LaspaError
from laspa.features import store as features
from laspa.features.kept import Place, computed_by, keep, places
from laspa.features.settings import mel_settings
from laspa.params import Features
from laspa.progress import progress

KEPT = "kept-features"  # under the folder for unfinished work: the last run's shards


class Utterance(NamedTuple):
    """What is read (`path`), its name, what it held when the manifest was made, and what is done to it."""

    utterance_id: str
    path: Path
    sha256: str
    change: Change | None = None

    @property
    def key(self) -> str:
        """Names the samples that the log-mel is computed of."""
        return self.sha256 if self.change is None else f"{self.sha256} {self.change.key}"


class Shard(NamedTuple):
    """The work of one process at one time; `kept` is where the log-mels lie that need no computing."""

    path: Path
    utterances: list[Utterance]
    kept: list[Place | None]
    settings: Features


Engine = Callable[[list[Shard]], Iterator[None]]


def extract(
    utterances: Sequence[Utterance],
    settings: Features,
    folder: Path,
    partial: Path,
    workers: int | None = None,
    engine: Engine | None = None,
    also: Callable[[Path], None] = lambda folder: None,
) -> int:
    """Write the log-mels of `utterances`, in their order, as shards in `folder`.

    Shards are collected under `partial` and moved to `folder` when all are there, so that a run
    that was killed goes on from its finished shards. Links to them stay under `partial` for the next
    run. The bytes depend neither on `workers` nor on what an earlier run has left.

    Args:
        utterances: ids, files and their digests.
        settings: mel settings and utterances a shard.
        folder: replaced as a whole at the end.
        partial: a folder for unfinished work, on the same file system.
        workers: processes; by default all cores that this process may use. 1 works in this process.
        engine: instead of these processes, what runs `write_shard` on each of the shards it is given,
            yielding once for each.
        also: writes what else belongs into the folder that it is given.

    Returns:
        How many log-mels this run and the killed ones that it goes on from have computed.

    Raises:
        LaspaError: an unreadable, too short or non-finite recording, or a worker that was killed.
    """
    if not utterances:
        raise LaspaError("data/manifest.parquet: no utterances, so there is nothing to extract")
    unfinished = partial / f"features-{_digest(utterances, settings)[:16]}"
    unfinished.mkdir(parents=True, exist_ok=True)
    size = settings.shard_utterances
    known = places(partial / KEPT, settings)
    keys = [one.key for one in utterances]
    kept = [known.get(key) for key in keys]
    shards = [
        Shard(
            unfinished / features.shard_name(index),
            list(utterances[start : start + size]),
            kept[start : start + size],
            settings,
        )
        for index, start in enumerate(range(0, len(utterances), size))
    ]
    _remove_others(unfinished, {shard.path for shard in shards})
    if engine is None:
        engine = _engine(workers or available_cores())
    for _ in progress(_extracted(shards, engine), len(shards), "features", "shard"):
        pass
    keep(unfinished, keys, settings, partial / KEPT)
    also(unfinished)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, folder)
    return kept.count(None)


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_shard(shard: Shard) -> None:
    """Compute and write one shard, on one thread."""
    rows = (
        features.Row(one.utterance_id, mel) for one, mel in zip(shard.utterances, _mels(shard), strict=True)
    )
    features.write_shard(shard.path, rows, mel_settings(shard.settings))


def _mels(shard: Shard) -> Iterator[np.ndarray]:
    opened: dict[tuple[Path, int], list[np.ndarray]] = {}
    if all(shard.kept):
        yield from (_kept_mel(place, opened) for place in shard.kept if place)
        return
    import torch  # here, not above: neither the parent process nor a shard of kept log-mels needs it

    from laspa.features.mel import log_mel

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two processes beat two threads, and sums are added in one order
    try:
        for one, place in zip(shard.utterances, shard.kept, strict=True):
            if place is not None:
                yield _kept_mel(place, opened)
                continue
            signal = read_audio(one.path, SAMPLE_RATE)
            try:
                if one.change is not None:
                    signal = changed(signal, one.change)
                yield log_mel(signal, shard.settings)
            except LaspaError as error:
                raise LaspaError(f"utterance {one.utterance_id} ({one.path}): {error}") from None
    finally:
        torch.set_num_threads(threads)


def _kept_mel(place: Place, opened: dict[tuple[Path, int], list[np.ndarray]]) -> np.ndarray:
    """From the row group that is open, or else from the one that is opened in its stead."""
    if (place.shard, place.group) not in opened:
        opened.clear()
        opened[place.shard, place.group] = features.read_group(place.shard, place.group)
    return opened[place.shard, place.group][place.row]


def _extracted(shards: list[Shard], engine: Engine) -> Iterator[None]:
    """Compute what is missing; yields once for each shard."""
    missing = []
    for shard in shards:
        if features.num_rows(shard.path) == len(shard.utterances):
            yield
        else:
            missing.append(shard)
    if missing:
        yield from engine(missing)


def _engine(workers: int) -> Engine:
    def here(shards: list[Shard]) -> Iterator[None]:
        yield from map(write_shard, shards)

    def in_processes(shards: list[Shard]) -> Iterator[None]:
        yield from here(shards) if len(shards) == 1 else _in_processes(shards, workers)

    return here if workers == 1 else in_processes


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
    lines = [f"{one.utterance_id}\t{one.key}" for one in utterances]
    head = f"{computed_by(settings)} {settings.shard_utterances}"
    return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()


def _remove_others(unfinished: Path, wanted: set[Path]) -> None:
    """Remove what runs with other settings, and killed writers, have left behind."""
    for folder in unfinished.parent.glob("features-*"):
        if folder != unfinished:
            shutil.rmtree(folder)
    for path in unfinished.iterdir():
        if path not in wanted:
            path.unlink()
