"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM, a key of `systems` in params.yaml.
"""

import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from pipelines import stage
from pipelines.systems import measure_seeds

RESAMPLES = 100  # of the speakers per seed; the summary's intervals are those over seeds
DATA, RESULTS = Path("data"), Path("data/ablation")


def main() -> None:
    if len(sys.argv) != 2:
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM, a key of systems in params.yaml")
    runs = seed_runs(load_params(stage.PARAMS_FILE), sys.argv[1])
    measure_seeds(sys.argv[1], "ablate", runs, DATA, RESULTS)


def seed_runs(params: Params, system: str, changes: dict[str, Any] | None = None) -> dict[int, Params]:
    """The params of each seed's run: a system, changed if need be, on the budget that all share."""
    budget = {
        "train.epochs": params.ablate.epochs,
        "train.crop_seconds": params.ablate.crop_seconds,
        "train.fine_tune.epochs": 0,
        "train.dev_every": params.ablate.epochs,
        "train.threads": 1,
        "train.workers": 1,
        "evaluate.bootstrap": RESAMPLES,
    }
    resolved = params.resolve(system)
    return {
        seed: with_overrides(resolved, (changes or {}) | budget | {"seed": seed})
        for seed in params.ablate.seeds
    }


if __name__ == "__main__":
    stage.run(main)
