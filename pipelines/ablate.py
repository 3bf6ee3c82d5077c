"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM, a key of `ablate.systems` in params.yaml.
"""

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.experiment import TrainingData, load_training_data, state_digest, train_system
from laspa.files import atomic_path, read_json, write_json
from laspa.measurement import evaluate_system
from laspa.params import Params, load_params, with_overrides
from laspa.split import load_split, torch_device
from pipelines import stage, tracking

RESAMPLES = 100  # of the speakers a seed; the summary's intervals are those over seeds
DATA, RESULTS, PARTIAL = Path("data"), Path("data/ablation"), Path("data/.partial/ablate")


def main() -> None:
    if len(sys.argv) != 2:
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM, a key of ablate.systems in params.yaml")
    system, params = sys.argv[1], load_params(stage.PARAMS_FILE)
    if system not in params.ablate.systems:
        raise LaspaError(
            f"params.yaml: ablate.systems has no {system}; dvc.yaml's matrix and params.yaml must list "
            f"the same systems, here {', '.join(params.ablate.systems)}"
        )
    runs = seed_runs(params, system)
    results = {}
    with ExitStack() as stack:
        finished = stack.enter_context(_started(system, runs))
        tags = {"laspa.system": system}
        tracked = {
            seed: stack.enter_context(tracking.run(f"{system}, seed {seed}", "ablate", run, tags))
            for seed, run in runs.items()
        }
        for result in finished:
            for record in result["history"]:
                tracked[result["seed"]].log_metrics(**tracking.epoch_metrics(record))
            tracked[result["seed"]].log_metrics(tracking.evaluation_metrics(result))
            results[f"seed-{result['seed']}.json"] = result
    with atomic_path(RESULTS / system) as folder:
        folder.mkdir()
        for name, result in sorted(results.items()):
            write_json(folder / name, result)
    shutil.rmtree(PARTIAL / system)


def seed_runs(params: Params, system: str) -> dict[int, Params]:
    """The params of each seed's run: the system's changes, on the budget that all systems share."""
    budget = {
        "train.epochs": params.ablate.epochs,
        "train.crop_seconds": params.ablate.crop_seconds,
        "train.threads": 1,
        "evaluate.bootstrap": RESAMPLES,
    }
    changes = params.ablate.systems[system] | budget
    return {seed: with_overrides(params, changes | {"seed": seed}) for seed in params.ablate.seeds}


@contextmanager
def _started(system: str, runs: dict[int, Params]) -> Iterator[Iterator[dict[str, Any]]]:
    """Results as they come: on a CPU a process a seed with one thread each, on a GPU one after the other.

    The processes are forked off one that has read the data and has no threads yet, so that all seeds
    share it in memory; what else there is to start, such as tracking, starts while they train.
    """
    if any(torch_device(run.train.device).type == "cuda" for run in runs.values()):
        yield (_run(system, run) for run in runs.values())
        return
    _training_data()
    with ProcessPoolExecutor(len(runs), mp_context=get_context("fork")) as pool:
        futures = [pool.submit(_run, system, run) for run in runs.values()]
        yield (future.result() for future in as_completed(futures))


def _run(system: str, params: Params) -> dict[str, Any]:
    """Train and measure one seed; a result that is there already, from the same inputs, is taken as it is."""
    data = _training_data()
    finished = PARTIAL / system / f"{params.seed}-{state_digest(params, data)}.json"
    if finished.exists():
        return dict(read_json(finished))
    trained = train_system(params, data, PARTIAL / system)
    device = torch_device(params.train.device)
    test = load_split(DATA, "test")
    metrics, _, _ = evaluate_system(trained.model, data.train.languages, test, params.evaluate, device)
    result = {
        "system": system,
        "seed": params.seed,
        "epochs": params.train.epochs,
        "history": trained.history,
        "parameters": trained.model.parameter_counts(),
        **metrics,
    }
    write_json(finished, result)
    return result


@cache
def _training_data() -> TrainingData:
    return load_training_data(DATA)


if __name__ == "__main__":
    stage.run(main)
