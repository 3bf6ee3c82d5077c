"""Stage model: the system that `system` names with its calibration and card, and its metrics for DVC."""

from pathlib import Path
from typing import Any

from laspa.evaluation.evaluate import METRICS as RATES
from laspa.evaluation.split import load_split
from laspa.files import read_json, write_json
from laspa.models.device import torch_device
from laspa.models.saving import load_model
from laspa.packaging.package import package
from laspa.packaging.thresholds import score_split
from laspa.params import load_params
from laspa.trials.conditions import CONDITIONS
from pipelines import stage
from pipelines.tracking.logged_model import log_model

DATA, TRAINED, EVALUATION = Path("data"), Path("data/trained"), Path("data/evaluation")
MODEL, METRICS = Path("data/model"), Path("reports/metrics.json")
OTHERS_CONDITIONS = ("cross_same", "all")
FURTHER_METRICS = (
    *("language_probe_accuracy", "language_probe_chance", "mapc", "mse"),
    *("added_parameters_percent", "trial_list"),
)


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    system, device = params.system, torch_device(params.train.device)
    model, _ = load_model(TRAINED / system)
    dev, test = (load_split(DATA, name) for name in ("dev", "test"))
    found = read_json(EVALUATION / system / "metrics.json")
    scored = score_split(model, test, device)
    package(
        TRAINED / system,
        MODEL,
        score_split(model, dev, device),
        scored,
        found,
        test.manifest,
        system,
        params.evaluate,
    )
    others = [name for name in params.compare if name != system]
    further = {name: read_json(EVALUATION / name / "metrics.json")["conditions"] for name in others}
    write_json(METRICS, metrics(found, further), sort=False)
    log_model(MODEL, scored, found, params)


def metrics(found: dict[str, Any], others: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What `dvc exp show` and `dvc metrics diff` print, what matters most first.

    Few enough rows to read; all that is left out, such as official lists, is in reports/summary.json.

    Args:
        found: the default system's evaluation.
        others: the rates by condition of the other systems that were trained with it.
    """
    conditions = found["conditions"]
    shown = {name: {key: conditions[name][key] for key in RATES} for name in CONDITIONS if name in conditions}
    eers = {
        system: {name: conditions[name]["eer"] for name in OTHERS_CONDITIONS if name in conditions}
        for system, conditions in others.items()
    }
    return {"conditions": shown, "systems": eers} | {name: found[name] for name in FURTHER_METRICS}


if __name__ == "__main__":
    stage.run(main)
