"""From audio files to a features folder: worker processes compute shards, and a killed run can resume.

Log-mels of the last run are reused, so a new speaker costs only that speaker.
"""

import functools
import hashlib
import itertools
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from laspa.audio.augmentation import Augmentation, augment
from laspa.audio.reading import read_audio
from laspa.errors import LaspaError
from laspa.features import store
from laspa.features.cache import CachedMel, computation_digest, fill_cache, read_cache
from laspa.features.settings import mel_settings
from laspa.params import Features
from laspa.progress import progress
from laspa.worker_processes import available_cores, end_with_parent

CACHE = "kept-features"  # folder of the last run's shards, in the folder for unfinished work


class Utterance(NamedTuple):
    """A recording, its SHA-256 in the manifest, and the augmentation of a copy."""

    utterance_id: str
    path: Path
    sha256: str
    augmentation: Augmentation | None = None

    @property
    def key(self) -> str:
        """Names the samples that the log-mel is computed from."""
        return self.sha256 if self.augmentation is None else f"{self.sha256} {self.augmentation.key}"


class Shard(NamedTuple):
    """One task of a process; `cached` says where log-mels are that need not be computed."""

    path: Path
    utterances: list[Utterance]
    cached: list[CachedMel | None]
    settings: Features


Engine = Callable[[list[Shard]], Iterator[None]]


def extract(
    utterances: Sequence[Utterance],
    settings: Features,
    folder: Path,
    partial: Path,
    workers: int | None = None,
    engine: Engine | None = None,
    write_extra: Callable[[Path], None] = lambda folder: None,
) -> int:
    """Write the log-mels of `utterances`, in their order, as shards in `folder`.

    Shards are collected under `partial` and moved to `folder` when all are there, so that a killed run
    resumes from its finished shards. Links to them stay under `partial` for the next run. The bytes depend
    neither on `workers` nor on what an earlier run has left.

    Args:
        folder: replaced as a whole at the end.
        partial: a folder for unfinished work, on the same file system.
        workers: processes; by default all cores that this process may use. 1 works in this process.
        engine: runs `compute_shard` on each shard in place of these processes, and yields once per shard.
        write_extra: writes what else belongs in the folder that it is given.

    Returns:
        How many log-mels this run, and the killed ones that it resumes, have computed.

    Raises:
        LaspaError: an unreadable, too short or non-finite recording, or a worker that was killed.
    """
    if not utterances:
        raise LaspaError("data/manifest.parquet: no utterances, so there is nothing to extract")
    unfinished = partial / f"features-{_digest(utterances, settings)[:16]}"
    unfinished.mkdir(parents=True, exist_ok=True)
    known = read_cache(partial / CACHE, settings)
    keys = [one.key for one in utterances]
    cached, size = [known.get(key) for key in keys], settings.shard_utterances
    shards = [
        Shard(
            unfinished / store.shard_name(index),
            list(utterances[start : start + size]),
            cached[start : start + size],
            settings,
        )
        for index, start in enumerate(range(0, len(utterances), size))
    ]
    _remove_others(unfinished, {shard.path for shard in shards})
    missing = [shard for shard in shards if store.num_rows(shard.path) != len(shard.utterances)]
    engine = engine or functools.partial(_in_processes, workers=workers or available_cores())
    finished = itertools.repeat(None, len(shards) - len(missing))
    done = itertools.chain(finished, engine(missing) if missing else ())
    for _ in progress(done, len(shards), "features", "shard"):
        pass
    fill_cache(partial / CACHE, unfinished, keys, settings)
    write_extra(unfinished)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, folder)
    return cached.count(None)


def compute_shard(shard: Shard) -> None:
    """Compute and write one shard, on one thread."""
    pairs = zip(shard.utterances, _mels(shard), strict=True)
    rows = (store.UtteranceMel(one.utterance_id, mel) for one, mel in pairs)
    store.write_shard(shard.path, rows, mel_settings(shard.settings))


def _mels(shard: Shard) -> Iterator[np.ndarray]:
    group = functools.lru_cache(maxsize=1)(store.read_group)  # neighbours are mostly in the same group
    for one, place in zip(shard.utterances, shard.cached, strict=True):
        yield group(place.shard, place.group)[place.row] if place else _computed(one, shard.settings)


def _computed(utterance: Utterance, settings: Features) -> np.ndarray:
    import torch  # here: neither the parent process nor a shard of cached log-mels needs it

    from laspa.features.mel import log_mel

    signal = read_audio(utterance.path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two processes are faster than two threads, and sums are added in one order
    try:
        if utterance.augmentation is not None:
            signal = augment(signal, utterance.augmentation)
        return log_mel(signal, settings)
    except LaspaError as error:
        raise LaspaError(f"utterance {utterance.utterance_id} ({utterance.path}): {error}") from None
    finally:
        torch.set_num_threads(threads)


def _in_processes(shards: list[Shard], workers: int) -> Iterator[None]:
    if workers == 1 or len(shards) == 1:
        yield from map(compute_shard, shards)
        return
    # Spawned, not forked: a fork of a process with running threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, initializer=end_with_parent)
    try:
        for future in as_completed([pool.submit(compute_shard, shard) for shard in shards]):
            yield future.result()
    except BrokenProcessPool:
        raise LaspaError(
            "features: a worker process was killed, most likely for want of memory; "
            "finished shards are kept, run again to resume from them"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _digest(utterances: Sequence[Utterance], settings: Features) -> str:
    """SHA-256 of everything that decides what the shards hold."""
    lines = [f"{one.utterance_id}\t{one.key}" for one in utterances]
    head = f"{computation_digest(settings)} {settings.shard_utterances}"
    return hashlib.sha256("\n".join([head, *lines]).encode()).hexdigest()


def _remove_others(unfinished: Path, wanted: set[Path]) -> None:
    """Remove what runs with other settings or inputs, and killed writers, have left."""
    for folder in unfinished.parent.glob("features-*"):
        if folder != unfinished:
            shutil.rmtree(folder)
    for path in unfinished.iterdir():
        if path not in wanted:
            path.unlink()
