"""Stage train: the system that `system` in params.yaml names, on the full budget."""

import shutil
from pathlib import Path

from laspa.files import sha256_file, write_json
from laspa.models.encoders import check_encoders
from laspa.models.laspa import added_parameters_percent
from laspa.models.saving import WEIGHTS_FILE, save_model
from laspa.training.loop import Record
from laspa.training.run import load_training_data, train_system
from pipelines import stage
from pipelines.resolve import TRAINED, read_run
from pipelines.tracking.metrics import epoch_metrics
from pipelines.tracking.runs import start_run

DATA, MODEL, RECORD = Path("data"), Path("data/model"), Path("reports/train.json")
STATES = Path("data/.partial/train")


def main() -> None:
    params, _ = read_run(TRAINED)
    check_encoders(params.model)
    data = load_training_data(DATA)
    with start_run("laspa", "train", params, {"laspa.data_sha256": data.digest}) as run:

        def log(record: Record) -> None:
            run.log_metrics(**epoch_metrics(record))

        if params.train.workers > 1:
            from pipelines.ray.training import train_in_workers

            train_in_workers(params, DATA, STATES, log)
            trained = train_system(params, data, STATES)  # reads the state that the workers saved
        else:
            trained = train_system(params, data, STATES, log)
        counts = trained.model.parameter_counts()
        added = added_parameters_percent(counts)
        classes = data.train.speakers, data.train.languages
        save_model(MODEL, trained.model, data.features, *classes, last=trained.last)
        record = {"epochs": params.train.epochs, "history": trained.history, "best_epoch": trained.best_epoch}
        write_json(RECORD, record | {"parameters": counts, "added_parameters_percent": added})
        run.log_metrics({"best_epoch": trained.best_epoch, "added_parameters_percent": added})
        run.set_tag("laspa.model_sha256", sha256_file(MODEL / WEIGHTS_FILE))
        run.log_artifacts(MODEL, "model")
    shutil.rmtree(STATES)


if __name__ == "__main__":
    stage.run(main)
