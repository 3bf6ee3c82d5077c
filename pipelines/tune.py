"""Stage tune: search for hyperparameters over `tune.space`, on dev alone.

A sweep that was killed or ran out of time goes on where it was: its journal lies beside the data.
"""

import shutil
from pathlib import Path

from laspa.errors import LaspaError
from laspa.experiment import load_training_data, state_digest
from laspa.params import Params, load_params
from laspa.tuning.journal import STOPPED, Journal
from laspa.tuning.outcome import write_outcome
from laspa.tuning.space import draw_trials, trial_params
from laspa.tuning.storage import Storage
from pipelines import stage

DATA, RESULTS, PARTIAL = Path("data"), Path("reports/tune"), Path("data/.partial/tune")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    drawn = draw_trials(params)
    _check_device(params)
    storage = Storage(params.tune.storage)
    storage.check()
    data = load_training_data(DATA)
    journal = Journal(PARTIAL / "trials")
    trials = [
        journal.open(number, state_digest(trial_params(params, values), data), values)
        for number, values in enumerate(drawn, start=1)
    ]

    from pipelines.board import board
    from pipelines.sweep import ray_started, run_trials

    with ray_started(params.tune), board(params, PARTIAL) as shown:
        run_trials(params, trials, data, storage, journal, shown, PARTIAL / "ray")
        best = write_outcome(RESULTS, params, trials)
        shown.sweep.log_metrics({"best_dev_eer": best.best, "trials": len(trials)})
        shown.sweep.log_artifacts(RESULTS, "tune")
    if not any(trial.status == STOPPED for trial in trials):
        storage.remove([trial.key for trial in trials])
        shutil.rmtree(PARTIAL)


def _check_device(params: Params) -> None:
    if params.train.device == "cuda" and not params.tune.gpus:
        raise LaspaError(
            "params.yaml: train.device is cuda but tune.gpus is 0, which hides all GPUs from a trial; "
            "set tune.gpus to a share of one, such as 0.25, or train.device to auto"
        )


if __name__ == "__main__":
    stage.run(main)
