"""Stage systems: the params of each training run, its system's changes made in those of params.yaml.

A training depends on its own file, so that only what reads a changed param is trained again.
"""

from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import atomic_path, read_json, write_json
from laspa.params import SYSTEM_KEYS, Params, load_params, with_overrides
from laspa.params.dotted import flatten
from laspa.params.messages import unknown_choice
from pipelines import stage

FOLDER, TRAINED = Path("data/systems"), "trained"
READ = {*SYSTEM_KEYS, "system"}  # by each training
RESAMPLES = 100  # of the speakers per seed; the summary's intervals are those over seeds


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    with atomic_path(FOLDER) as folder:
        folder.mkdir()
        write_json(folder / f"{TRAINED}.json", params.resolve().model_dump(include=READ | {"seed"}))
        for name in (*params.compare, *params.ablate.systems):
            compared = on_budget(params, name).model_dump(include=READ | {"evaluate"})
            write_json(folder / f"{name}.json", compared | {"seeds": params.ablate.seeds})


def on_budget(params: Params, system: str) -> Params:
    """The params of a system on the reduced budget that all systems compared share."""
    budget: dict[str, Any] = {
        "train.epochs": params.ablate.epochs,
        "train.crop_seconds": params.ablate.crop_seconds,
        "train.fine_tune.epochs": 0,
        "train.dev_every": params.ablate.epochs,
        "train.threads": 1,
        "train.workers": 1,
        "evaluate.bootstrap": RESAMPLES,
    }
    return with_overrides(params.resolve(system), budget)


def read_run(name: str) -> tuple[Params, list[int]]:
    """The params of a run, out of its file, and its seeds; what no training reads is that of params.yaml."""
    params = load_params(stage.PARAMS_FILE)
    known = (TRAINED, *params.compare, *params.ablate.systems)
    if name not in known:
        raise LaspaError(unknown_choice("system", name, known))
    values = read_json(FOLDER / f"{name}.json")
    seeds = values.pop("seeds", [])
    return with_overrides(params, flatten(values)), seeds


if __name__ == "__main__":
    stage.run(main)
