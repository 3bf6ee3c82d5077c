"""Stage system of studies/ablation: one system, each seed on the budget of `ablate` in params.yaml.

Usage: python -m pipelines.ablate SYSTEM
"""

from pathlib import Path

from laspa.params import load_params
from pipelines import stage
from pipelines.systems import measure_seeds, on_budget, with_seeds

DATA, RESULTS = Path("data"), Path("studies/ablation/systems")


def main() -> None:
    system, params = stage.argument("ablate", "SYSTEM"), load_params(stage.PARAMS_FILE)
    runs = with_seeds(on_budget(params, system), params.ablate.seeds)
    measure_seeds(system, "ablate", runs, DATA, RESULTS)


if __name__ == "__main__":
    stage.run(main)
