"""Train and measure one system with several seeds, each a tracked run; the results are one folder."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.evaluation.embedding import Embeddings
from laspa.evaluation.split import Split, load_split
from laspa.evaluation.system import evaluate_other, evaluate_system, pair_norm_rates
from laspa.files import atomic_path, read_json, sha256_file, write_json
from laspa.models.device import torch_device
from laspa.models.encoders import check_encoders
from laspa.models.laspa import Laspa
from laspa.params import SYSTEM_KEYS, Params, with_overrides
from laspa.training.batches import TrainingSet
from laspa.training.run import TrainingData, load_training_data, state_digest, train_system
from laspa.worker_processes import available_cores, end_with_parent
from pipelines import stage
from pipelines.tracking.metrics import epoch_metrics, evaluation_metrics
from pipelines.tracking.runs import start_run

RESAMPLES = 100  # of the speakers per seed; the tables' intervals are those over seeds
DEV_LOOKS = 4  # of a run, for its best epoch

Inspection = Callable[[Params, Laspa, TrainingSet, Split, Embeddings], dict[str, Any]]


def on_budget(params: Params, system: str) -> Params:
    """The params of a system on the budget that all systems of the ablation share."""
    epochs = params.ablate.epochs
    budget: dict[str, Any] = {
        "train.epochs": epochs,
        "train.crop_seconds": params.ablate.crop_seconds,
        "train.fine_tune.epochs": 0,
        "train.dev_every": max(1, epochs // DEV_LOOKS),
        "train.threads": 1,
        "train.workers": 1,
        "evaluate.bootstrap": RESAMPLES,
    }
    return with_overrides(params.resolve(system), budget)


def with_seeds(params: Params, seeds: list[int]) -> dict[int, Params]:
    """The params of each seed's run."""
    return {seed: with_overrides(params, {"seed": seed}) for seed in seeds}


def measure_seeds(
    system: str,
    kind: str,
    runs: dict[int, Params],
    data: Path,
    results: Path,
    split: str = "test",
    inspect: Inspection | None = None,
) -> None:
    """Train and measure each run on the tables under `data`; write `results`/`system`.

    Each seed-N.json holds the metrics and history of a seed; scores_LIST.parquet has one column of scores per
    seed, in the order of that trial list: the split's, and with test also that of other voices, if there is
    one. If the process is killed, the next call reuses finished seeds.

    Args:
        system: the name that the tracked runs carry.
        kind: of the runs, in tracking.
        runs: params by seed.
        split: dev for choices, test for results.
        inspect: what to add to the metrics of a seed.
    """
    runs = {seed: stage.from_root(run) for seed, run in runs.items()}
    for run in runs.values():
        check_encoders(run.model)
    partial = Path("data/.partial") / kind / split / system
    folder_of_seeds = {}
    with ExitStack() as stack:
        finished = stack.enter_context(_started(runs, data, partial, split, inspect))
        tags = {"laspa.system": system}
        tracked = {
            seed: stack.enter_context(start_run(f"{system}, seed {seed}", kind, run, tags))
            for seed, run in runs.items()
        }
        for seed, stem in finished:
            result = {"system": system, **read_json(stem.with_suffix(".json"))}
            for record in result["history"]:
                tracked[seed].log_metrics(**epoch_metrics(record))
            tracked[seed].log_metrics(evaluation_metrics(result))
            folder_of_seeds[seed] = result, dict(np.load(stem.with_suffix(".npz")))
    with atomic_path(results / system) as folder:
        folder.mkdir()
        for seed, (result, _) in sorted(folder_of_seeds.items()):
            write_json(folder / f"seed-{seed}.json", result)
        for name in next(iter(folder_of_seeds.values()))[1]:
            columns = {f"seed-{seed}": scores[name] for seed, (_, scores) in sorted(folder_of_seeds.items())}
            pd.DataFrame(columns).to_parquet(folder / f"scores_{name}.parquet", index=False)
    shutil.rmtree(partial)


def measure_once(system: str, kind: str, runs: dict[int, Params], data: Path, results: Path) -> None:
    """`measure_seeds`, unless it has run with the same params and data."""
    inputs = [sha256_file(data / part) for part in ("manifest.parquet", "trials/test.parquet")]
    read = {*SYSTEM_KEYS, "seed", "features", "evaluate"}
    what = json.dumps([inputs, {seed: run.model_dump(include=read) for seed, run in runs.items()}])
    digest = {"digest": hashlib.sha256(what.encode()).hexdigest()}
    done = results / system / "inputs.json"
    if done.exists() and read_json(done) == digest:
        return
    measure_seeds(system, kind, runs, data, results)
    write_json(done, digest)


@contextmanager
def _started(
    runs: dict[int, Params], data: Path, partial: Path, split: str, inspect: Inspection | None
) -> Iterator[Iterator[tuple[int, Path]]]:
    """Seeds and where their results are, in the order in which they finish.

    On a GPU seeds run one after the other. On a CPU each has a process with one thread: forked after the data
    are read, so that all share them in memory, and before tracking starts, since a fork copies no threads.
    """
    if any(torch_device(run.train.device).type == "cuda" for run in runs.values()):
        yield ((seed, _run(run, data, partial, split, inspect)) for seed, run in runs.items())
        return
    _training_data(data)
    with ProcessPoolExecutor(min(len(runs), available_cores()), get_context("fork"), end_with_parent) as pool:
        futures = {pool.submit(_run, run, data, partial, split, inspect): seed for seed, run in runs.items()}
        yield ((futures[future], future.result()) for future in as_completed(futures))


def _run(params: Params, data: Path, partial: Path, split: str, inspect: Inspection | None) -> Path:
    """Train and measure one seed, or reuse its result from the same inputs."""
    training = _training_data(data)
    finished = partial / f"{params.seed}-{state_digest(params, training)}"
    if finished.with_suffix(".json").exists():
        return finished
    trained = train_system(params, training, partial)
    device = torch_device(params.train.device)
    scored = load_split(data, split)
    model, options = trained.model, params.evaluate
    measured = evaluate_system(model, training.train.languages, scored, options, device)
    scores: dict[str, Any] = {split: measured.scores}
    further: dict[str, Any] = {}
    if split == "test":
        vectors = measured.embeddings
        further["pair_norm"] = pair_norm_rates(scored, vectors.utterance_ids, vectors.speaker, options)
        for name, (rates, _, found) in evaluate_other(model, data, options, device).items():
            further[name], scores[name] = rates, found
    with atomic_path(finished.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez(file, **scores)
    result: dict[str, Any] = {
        "seed": params.seed,
        "epochs": params.train.epochs,
        "history": trained.history,
        "parameters": model.parameter_counts(),
        **measured.metrics,
        **further,
    }
    if inspect is not None:
        result |= inspect(params, model, training.train, scored, measured.embeddings)
    write_json(finished.with_suffix(".json"), result)
    return finished


@cache
def _training_data(data: Path) -> TrainingData:
    return load_training_data(data)
