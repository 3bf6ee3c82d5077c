"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM [FOLDER]. SYSTEM is one of `compare` in params.yaml. With a FOLDER it
may be any key of `systems`, and its results go to FOLDER/SYSTEM.
"""

import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from pipelines import stage
from pipelines.resolve import on_budget, read_run
from pipelines.systems import measure_seeds

DATA, RESULTS = Path("data"), Path("data/ablation")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM [FOLDER], a key of systems in params.yaml")
    system, *folder = sys.argv[1:]
    if folder:
        measure_seeds(
            system, "ablate", seed_runs(load_params(stage.PARAMS_FILE), system), DATA, Path(*folder)
        )
    else:
        run, seeds = read_run(system)
        runs = {seed: with_overrides(run, {"seed": seed}) for seed in seeds}
        measure_seeds(system, "ablate", runs, DATA, RESULTS)


def seed_runs(params: Params, system: str, changes: dict[str, Any] | None = None) -> dict[int, Params]:
    """The params of each seed's run: a system, changed if need be, on the budget that all share."""
    run = on_budget(params, system)
    return {seed: with_overrides(run, (changes or {}) | {"seed": seed}) for seed in params.ablate.seeds}


if __name__ == "__main__":
    stage.run(main)
