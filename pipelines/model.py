"""Stage model: the system that `system` names with its calibration and card, and its metrics for DVC."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from laspa.evaluation.evaluate import PRIORS
from laspa.evaluation.split import load_split
from laspa.files import read_json, sha256_file, write_json
from laspa.models.borrowed_encoder import can_lend, save_with_language_encoder
from laspa.models.device import torch_device
from laspa.models.saving import WEIGHTS_FILE, load_model
from laspa.packaging.package import package
from laspa.packaging.thresholds import score_split
from laspa.params import load_params
from laspa.trials.conditions import CONDITIONS
from pipelines import stage
from pipelines.tracking.logged_model import log_model

DATA, TRAINED, EVALUATION = Path("data"), Path("data/trained"), Path("data/evaluation")
MODEL, METRICS = Path("data/model"), Path("reports/metrics.json")
SHOWN_RATES = ("eer", "eer_low", "eer_high", *PRIORS, "trials", "targets")
OTHERS_CONDITIONS = ("cross_same", "all")
FURTHER_METRICS = (
    "language_probe_accuracy",
    "language_probe_chance",
    "added_parameters_percent",
    "trial_list",
)


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    system, device = params.system, torch_device(params.train.device)
    dev, test = (load_split(DATA, name) for name in ("dev", "test"))
    found = read_json(EVALUATION / system / "metrics.json")
    with TemporaryDirectory() as temporary:
        trained, heard_by = with_languages(system, params.compare, Path(temporary) / "model")
        model, _ = load_model(trained)
        scored = score_split(model, test, device)
        of_dev = score_split(model, dev, device)
        package(trained, MODEL, of_dev, scored, found, test.manifest, system, params.evaluate, heard_by)
    others = [name for name in params.compare if name != system]
    further = {name: read_json(EVALUATION / name / "metrics.json")["conditions"] for name in others}
    write_json(METRICS, metrics(found, further), sort=False)
    log_model(MODEL, sha256_file(TRAINED / system / WEIGHTS_FILE), scored, found, params)


def with_languages(system: str, compared: list[str], saved: Path) -> tuple[Path, str | None]:
    """The folder of a system's model that tells languages, and the system whose language encoder it has.

    A model that has none, such as the baseline, gets that of the next compared system which can lend it.
    """
    trained = TRAINED / system
    if load_model(trained)[0].language_encoder is not None:
        return trained, None
    lenders = (name for name in reversed(compared) if can_lend(load_model(TRAINED / name)[0]))
    if (lender := next(lenders, None)) is None:
        return trained, None
    save_with_language_encoder(trained, TRAINED / lender, saved)
    return saved, lender


def metrics(found: dict[str, Any], others: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What `dvc exp show` and `dvc metrics diff` print, what matters most first.

    Few enough rows to read; all that is left out, such as official lists, is in reports/summary.json.

    Args:
        found: the default system's evaluation.
        others: the rates by condition of the other systems that were trained with it.
    """
    conditions = found["conditions"]
    shown = {
        name: {key: conditions[name][key] for key in SHOWN_RATES} for name in CONDITIONS if name in conditions
    }
    eers = {
        system: {name: conditions[name]["eer"] for name in OTHERS_CONDITIONS if name in conditions}
        for system, conditions in others.items()
    }
    return {"conditions": shown, "systems": eers} | {name: found[name] for name in FURTHER_METRICS}


if __name__ == "__main__":
    stage.run(main)
