"""Stages of studies/results: a system of the section `study` in params.yaml, on the full budget.

Usage: python -m pipelines.study PLACE, which is choices.NAME, systems.NAME or ceiling.
Choices are measured on dev, the others on test.
"""

import sys
from pathlib import Path

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from laspa.params.messages import unknown_choice
from pipelines import stage
from pipelines.systems import DEV_LOOKS, measure_seeds, with_seeds

DATA, RESULTS = Path("data"), Path("studies/results")
CEILING_DATA = RESULTS / "ceiling/data"


def main() -> None:
    place, params = " ".join(sys.argv[1:]), load_params(stage.PARAMS_FILE)
    if place not in params.study.variants():
        raise LaspaError(unknown_choice("study", place, params.study.variants()))
    runs, name = seed_runs(params, place), place.rpartition(".")[2]
    if place.startswith("choices."):
        measure_seeds(name, "study", runs, DATA, RESULTS / "choices", "dev")
    else:
        measure_seeds(name, "study", runs, CEILING_DATA if place == "ceiling" else DATA, RESULTS / "systems")


def seed_runs(params: Params, place: str) -> dict[int, Params]:
    """The params of each seed's run of a system of `study`."""
    variant, source = params.study.variants()[place], f"params.yaml: study.{place}"
    system = with_overrides(params.resolve(variant.system), variant.changes, source)
    changes = {"train.dev_every": max(1, system.train.epochs // DEV_LOOKS)}
    if place.startswith("choices."):
        changes = dict.fromkeys(("train.epochs", "train.dev_every"), params.study.choice_epochs)
    return with_seeds(with_overrides(system, changes), params.study.seeds)


if __name__ == "__main__":
    stage.run(main)
