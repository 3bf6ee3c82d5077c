"""Stage train: one of the systems that `compare` in params.yaml names, all on the same budget.

Usage: python -m pipelines.train SYSTEM
"""

import shutil
from pathlib import Path

from laspa.files import sha256_file, write_json
from laspa.models.encoders import check_encoders
from laspa.models.laspa import added_parameters_percent
from laspa.models.saving import WEIGHTS_FILE, save_model
from laspa.training.loop import Record
from laspa.training.run import load_training_data, train_system
from pipelines import stage
from pipelines.systems import read_run
from pipelines.tracking.metrics import epoch_metrics
from pipelines.tracking.runs import start_run

DATA, TRAINED, HISTORY = Path("data"), Path("data/trained"), Path("data/history")
STATES = Path("data/.partial/train")


def main() -> None:
    system = stage.argument("train", "SYSTEM")
    params = stage.from_root(read_run(system))
    model, states = TRAINED / system, STATES / system
    check_encoders(params.model)
    data = load_training_data(DATA)
    tags = {"laspa.data_sha256": data.digest, "laspa.system": system}
    with start_run(system, "train", params, tags) as run:

        def log(record: Record) -> None:
            run.log_metrics(**epoch_metrics(record))

        if params.train.workers > 1:
            from pipelines.ray.training import train_in_workers

            train_in_workers(params, DATA, states, log)
            trained = train_system(params, data, states)  # reads the state that the workers saved
        else:
            trained = train_system(params, data, states, log)
        counts = trained.model.parameter_counts()
        added = added_parameters_percent(counts)
        classes = data.train.speakers, data.train.languages
        save_model(model, trained.model, data.features, *classes, last=trained.last)
        budget = {"seed": params.seed, "epochs": params.train.epochs, "best_epoch": trained.best_epoch}
        record = {"parameters": counts, "history": trained.history}
        write_json(HISTORY / f"{system}.json", budget | record)
        run.log_metrics({"best_epoch": trained.best_epoch, "added_parameters_percent": added})
        run.set_tag("laspa.model_sha256", sha256_file(model / WEIGHTS_FILE))
        run.log_artifacts(model, "model")
    shutil.rmtree(states)


if __name__ == "__main__":
    stage.run(main)
