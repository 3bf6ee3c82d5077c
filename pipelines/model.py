"""Stage model: the model of the system that `system` names, and its metrics, by which DVC compares."""

import shutil
from pathlib import Path
from typing import Any

from laspa.evaluation.evaluate import METRICS as RATES
from laspa.files import atomic_path, read_json, write_json
from laspa.params import load_params
from laspa.trials.conditions import CONDITIONS
from pipelines import stage

TRAINED, EVALUATION = Path("data/trained"), Path("data/evaluation")
MODEL, METRICS = Path("data/model"), Path("reports/metrics.json")
FURTHER_METRICS = (
    *("language_probe_accuracy", "language_probe_chance", "mapc", "mse"),
    *("added_parameters_percent", "trial_list"),
)


def main() -> None:
    system = load_params(stage.PARAMS_FILE).system
    with atomic_path(MODEL) as folder:
        shutil.copytree(TRAINED / system, folder)
    write_json(METRICS, metrics(read_json(EVALUATION / system / "metrics.json")), sort=False)


def metrics(found: dict[str, Any]) -> dict[str, Any]:
    """What `dvc exp show` and `dvc metrics diff` print of an evaluation, what matters most first.

    Few enough rows to read; `seen`, `unseen` and official lists are in reports/summary.json.
    """
    conditions = found["conditions"]
    shown = {name: {key: conditions[name][key] for key in RATES} for name in CONDITIONS if name in conditions}
    return {"conditions": shown} | {name: found[name] for name in FURTHER_METRICS}


if __name__ == "__main__":
    stage.run(main)
