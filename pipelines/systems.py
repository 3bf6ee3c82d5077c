"""Stage systems: the params of each training run, its system's changes made in those of params.yaml.

A training depends on its own file, so that only what reads a changed param is trained again.
"""

from pathlib import Path

from laspa.errors import LaspaError
from laspa.files import atomic_path, read_json, write_json
from laspa.params import SYSTEM_KEYS, Params, load_params, with_overrides
from laspa.params.dotted import flatten
from laspa.params.messages import unknown_choice
from pipelines import stage

FOLDER = Path("data/systems")
READ = {*SYSTEM_KEYS, "system", "seed"}  # by each training


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    if params.system not in params.compare:
        raise LaspaError(f"{unknown_choice('system', params.system, params.compare)}, or add it to compare")
    with atomic_path(FOLDER) as folder:
        folder.mkdir()
        for name in params.compare:
            run = params.resolve(name)
            write_json(folder / f"{name}.json", with_overrides(run, run.unread()).model_dump(include=READ))


def read_run(name: str) -> Params:
    """The params of a system's training, out of its file; what no training reads is that of params.yaml."""
    params = load_params(stage.PARAMS_FILE)
    if name not in params.compare:
        raise LaspaError(unknown_choice("compare", name, params.compare))
    return with_overrides(params, flatten(read_json(FOLDER / f"{name}.json")))


if __name__ == "__main__":
    stage.run(main)
