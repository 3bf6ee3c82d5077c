"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM, a key of `ablate.systems` in params.yaml.
"""

import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from pipelines import stage
from pipelines.systems import measure_seeds

RESAMPLES = 100  # of the speakers a seed; the summary's intervals are those over seeds
DATA, RESULTS = Path("data"), Path("data/ablation")


def main() -> None:
    if len(sys.argv) != 2:
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM, a key of ablate.systems in params.yaml")
    system, params = sys.argv[1], load_params(stage.PARAMS_FILE)
    if system not in params.ablate.systems:
        raise LaspaError(
            f"params.yaml: ablate.systems has no {system}; dvc.yaml's matrix and params.yaml must list "
            f"the same systems, here {', '.join(params.ablate.systems)}"
        )
    measure_seeds(system, "ablate", seed_runs(params, system), DATA, RESULTS)


def seed_runs(params: Params, system: str, further: dict[str, Any] | None = None) -> dict[int, Params]:
    """The params of each seed's run: the system's changes and further ones, on the budget that all share."""
    budget = {
        "train.epochs": params.ablate.epochs,
        "train.crop_seconds": params.ablate.crop_seconds,
        "train.fine_tune.epochs": 0,
        "train.dev_every": params.ablate.epochs,
        "train.threads": 1,
        "train.workers": 1,
        "evaluate.bootstrap": RESAMPLES,
    }
    changes = params.ablate.systems[system] | (further or {}) | budget
    return {seed: with_overrides(params, changes | {"seed": seed}) for seed in params.ablate.seeds}


if __name__ == "__main__":
    stage.run(main)
