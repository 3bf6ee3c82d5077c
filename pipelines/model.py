"""Stage model: the trained model with its calibration, thresholds and model card, ready for use."""

from pathlib import Path

from laspa.evaluation.split import load_split
from laspa.files import read_json
from laspa.models.device import torch_device
from laspa.models.saving import load_model
from laspa.packaging.package import package
from laspa.packaging.thresholds import score_split
from laspa.params import load_params
from pipelines import stage
from pipelines.tracking.logged_model import log_model

DATA, TRAINED, MODEL = Path("data"), Path("data/model"), Path("data/recogniser")
METRICS = Path("reports/metrics.json")


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    device = torch_device(params.train.device)
    model, _ = load_model(TRAINED)
    dev, test = (load_split(DATA, name) for name in ("dev", "test"))
    scored, metrics = score_split(model, test, device), read_json(METRICS)
    package(
        TRAINED,
        MODEL,
        score_split(model, dev, device),
        scored,
        metrics,
        test.manifest,
        params.system,
        params.evaluate,
    )
    log_model(MODEL, scored, metrics, params)


if __name__ == "__main__":
    stage.run(main)
