"""Stage ablate: one system of the comparison, each seed on the same reduced budget.

Usage: python -m pipelines.ablate SYSTEM [FOLDER]. SYSTEM is one of `compare` or of `ablate.systems` in
params.yaml. Its results go to FOLDER/SYSTEM, which is data/ablation/SYSTEM unless given.
"""

import sys
from pathlib import Path

from laspa.errors import LaspaError
from pipelines import stage
from pipelines.resolve import read_run
from pipelines.systems import measure_seeds, with_seeds

DATA, RESULTS = Path("data"), Path("data/ablation")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise LaspaError("usage: python -m pipelines.ablate SYSTEM [FOLDER], a system of params.yaml")
    system, *folder = sys.argv[1:]
    run, seeds = read_run(system)
    measure_seeds(system, "ablate", with_seeds(run, seeds), DATA, Path(*folder) if folder else RESULTS)


if __name__ == "__main__":
    stage.run(main)
