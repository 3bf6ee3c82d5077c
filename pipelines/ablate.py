"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM [FOLDER]. SYSTEM is a key of `systems` in params.yaml; its results go
to FOLDER/SYSTEM.
"""

import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from pipelines import stage
from pipelines.systems import measure_seeds

RESAMPLES = 100  # of the speakers per seed; the summary's intervals are those over seeds
DATA, RESULTS = Path("data"), "data/ablation"


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM [FOLDER], a key of systems in params.yaml")
    system, results = [*sys.argv[1:], RESULTS][:2]
    measure_seeds(system, "ablate", seed_runs(load_params(stage.PARAMS_FILE), system), DATA, Path(results))


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
