"""Stage tune: search for hyperparameters over `tune.space`, on dev alone.

A sweep that was killed or ran out of time resumes: the file of each trial is beside the data.
"""

import shutil
from functools import partial
from pathlib import Path

from laspa.errors import LaspaError
from laspa.models.saving import state_bytes
from laspa.params import Params, load_params
from laspa.training.run import TrainingData, load_training_data, state_digest
from laspa.tuning.output import write_output
from laspa.tuning.space import draw_trials, trial_count, trial_params
from laspa.tuning.storage import READ, Storage, tables
from laspa.tuning.trial_files import STOPPED, Trial, TrialFiles
from pipelines import stage

RESULTS, PARTIAL = Path("reports/tune"), Path("data/.partial/tune")
COPIES = PARTIAL.parent / "tables"


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    params = stage.from_root(params.resolve(params.tune.system))
    drawn = draw_trials(params)
    if params.train.device == "cuda" and not params.tune.gpus:
        raise LaspaError(
            "params.yaml: train.device is cuda but tune.gpus is 0, which hides all GPUs from a trial; "
            "set tune.gpus to a share of one, such as 0.25, or train.device to auto"
        )
    storage = Storage(params.tune.storage)
    storage.download("sweep", PARTIAL)
    data = load_training_data(tables(params.tune.data, READ, COPIES))
    files = TrialFiles(PARTIAL / "trials", lambda file: storage.upload(file, f"sweep/trials/{file.name}"))
    trials = [
        files.load(number, state_digest(trial_params(params, values), data), values)
        for number, values in enumerate(drawn, start=1)
    ]
    if params.tune.sampler == "optuna":
        trials += _drawn_before(params, data, files, trials[0])
    # By the size of the params' own system; a trial's may be larger.
    train = data.train
    size = state_bytes(params.as_system(), train.num_mels, len(train.speakers), len(train.languages))
    waiting = trial_count(params.tune, len(trials)) - sum(trial.ended for trial in trials)
    storage.check_room(waiting, size)

    from pipelines.ray.sweep import ray_started, run_trials
    from pipelines.tracking.sweep_runs import SweepRuns

    with ray_started(params.tune), SweepRuns(params, PARTIAL) as runs:
        storage.upload(PARTIAL / "sweep.json", "sweep/sweep.json")
        run_trials(params, trials, data, COPIES, storage, files, runs, PARTIAL / "ray")
        best = write_output(RESULTS, params, trials)
        for file in sorted(RESULTS.iterdir()):
            storage.upload(file, f"results/{file.name}")
        runs.sweep.log_metrics({"best_dev_eer": best.best, "trials": len(trials)})
        runs.sweep.log_artifacts(RESULTS, "tune")
    if not any(trial.status == STOPPED for trial in trials):
        storage.delete("sweep", [trial.key for trial in trials])
        shutil.rmtree(PARTIAL)


def _drawn_before(params: Params, data: TrainingData, files: TrialFiles, first: Trial) -> list[Trial]:
    """Trials of this sweep that Optuna drew before it was killed, with these params and data."""
    found = [
        trial
        for trial in files.load_all()
        if trial.key != first.key
        and trial.values.keys() == first.values.keys()
        and trial.key == state_digest(trial_params(params, trial.values), data)
    ]
    return [  # with the names in the space's order, which a file with sorted keys does not keep
        files.load(number, trial.key, {name: trial.values[name] for name in first.values})
        for number, trial in enumerate(found[: params.tune.trials - 1], start=2)
    ]


command = partial(stage.run, main)  # of `laspa tune`

if __name__ == "__main__":
    command()
