"""Stage tune: search for hyperparameters over `tune.space`, on dev alone.

A sweep that was killed or ran out of time goes on where it was: its journal lies beside the data.
"""

import hashlib
import shutil
from pathlib import Path

from laspa.errors import LaspaError
from laspa.models.saving import state_bytes
from laspa.params import Params, load_params
from laspa.training.run import TrainingData, load_training_data, state_digest
from laspa.tuning.journal import STOPPED, Journal, Trial
from laspa.tuning.outcome import write_outcome
from laspa.tuning.space import draw_trials, planned, trial_params
from laspa.tuning.storage import Storage, fetch, in_words
from pipelines import stage

RESULTS, PARTIAL = Path("reports/tune"), Path("data/.partial/tune")
READ = ("manifest.parquet", "trials/dev.parquet", "features")  # of tune.data; the test split is not


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    drawn = draw_trials(params)
    _check_device(params)
    storage = Storage(params.tune.storage)
    storage.check()
    storage.fetch("sweep", PARTIAL)
    data = load_training_data(tables(params.tune.data, READ))
    journal = Journal(PARTIAL / "trials", lambda file: storage.send(file, f"sweep/trials/{file.name}"))
    trials = [
        journal.open(number, state_digest(trial_params(params, values), data), values)
        for number, values in enumerate(drawn, start=1)
    ]
    if params.tune.sampler == "optuna":
        trials += _drawn_before(params, data, journal, trials[0])
    _check_room(params, data, storage, trials)

    from pipelines.ray.sweep import ray_started, run_trials
    from pipelines.tracking.sweep import board

    with ray_started(params.tune), board(params, PARTIAL) as shown:
        storage.send(PARTIAL / "sweep.json", "sweep/sweep.json")
        run_trials(params, trials, data, storage, journal, shown, PARTIAL / "ray")
        best = write_outcome(RESULTS, params, trials)
        for file in sorted(RESULTS.iterdir()):
            storage.send(file, f"results/{file.name}")
        shown.sweep.log_metrics({"best_dev_eer": best.best, "trials": len(trials)})
        shown.sweep.log_artifacts(RESULTS, "tune")
    if not any(trial.status == STOPPED for trial in trials):
        storage.remove([trial.key for trial in trials])
        storage.forget("sweep")
        shutil.rmtree(PARTIAL)


def _drawn_before(params: Params, data: TrainingData, journal: Journal, first: Trial) -> list[Trial]:
    """Trials of this sweep that Optuna drew before it was killed, under these params and on these data."""
    names = list(first.values)
    found = [
        trial
        for trial in journal.kept()
        if list(trial.values) == names
        and trial.key != first.key
        and trial.key == state_digest(trial_params(params, trial.values), data)
    ]
    return [
        journal.open(number, trial.key, trial.values)
        for number, trial in enumerate(found[: params.tune.trials - 1], start=2)
    ]


def tables(place: str, names: tuple[str, ...]) -> Path:
    """A local folder with the tables `names` of a data folder; from a URI they are copied there once.

    Raises:
        LaspaError: a URI that cannot be read, or where one of them is missing.
    """
    if "://" not in place:
        return Path(place)
    folder = PARTIAL.parent / "tables" / hashlib.sha256(place.encode()).hexdigest()[:16]
    for name in names:
        target = folder / name
        try:
            if not target.exists():
                fetch(f"{place.rstrip('/')}/{name}", target)
        except (OSError, ValueError) as error:
            raise _unreadable(place, str(error)) from None
        if not target.exists():
            raise _unreadable(place, f"there is no {name}")
    return folder


def _unreadable(place: str, why: str) -> LaspaError:
    shown, reason, credentials = in_words(place, why)
    return LaspaError(
        f"params.yaml: tune.data is {shown!r}, which cannot be read ({reason}); name the data folder of a "
        f"pipeline that has run, or a URI that it was copied to{credentials}"
    )


def _check_room(params: Params, data: TrainingData, storage: Storage, trials: list[Trial]) -> None:
    """By the size of the params' own system, which the space may make larger."""
    train = data.train
    size = state_bytes(params.as_system(), train.num_mels, len(train.speakers), len(train.languages))
    waiting = planned(params.tune, len(trials)) - sum(trial.ended for trial in trials)
    storage.check_room(waiting, size)


def _check_device(params: Params) -> None:
    if params.train.device == "cuda" and not params.tune.gpus:
        raise LaspaError(
            "params.yaml: train.device is cuda but tune.gpus is 0, which hides all GPUs from a trial; "
            "set tune.gpus to a share of one, such as 0.25, or train.device to auto"
        )


if __name__ == "__main__":
    stage.run(main)
