"""The trials of a sweep under Ray Tune, on this machine or on the cluster that RAY_ADDRESS names."""

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

from laspa.errors import LaspaError
from laspa.params import Params, Tune
from laspa.training.run import TrainingData, state_digest
from laspa.tuning.space import trial_count, trial_params
from laspa.tuning.storage import Storage
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, RUNNING, STOPPED, Trial, TrialFiles, dev_eer
from pipelines.ray.session import ray_session
from pipelines.ray.trial import train_trial
from pipelines.tracking.sweep_runs import SweepRuns

# Of the driver: no tables and log files of what the trials' files have, Ctrl-C as usual.
DRIVER_VARIABLES = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# Of workers: seconds that a stopped trial has to leave its process to the next one.
WORKER_VARIABLES = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "60"}
SECONDS_PER_HOUR = 3600
PERCENT = 100


@contextmanager
def ray_started(options: Tune) -> Iterator[None]:
    """Ray on this machine alone, or the cluster of RAY_ADDRESS.

    Raises:
        LaspaError: an address that nobody answers, or no node with the CPUs or GPUs that a trial asks for.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the lines about each trial come from here
    with ray_session(DRIVER_VARIABLES, WORKER_VARIABLES):
        _check_resources(options)
        yield


def run_trials(
    params: Params,
    trials: list[Trial],
    data: TrainingData,
    copies: Path,
    storage: Storage,
    files: TrialFiles,
    runs: SweepRuns,
    scratch: Path,
) -> None:
    """Run the trials that have not ended; keep each epoch in the trial's file and in MLflow.

    Args:
        trials: of the whole sweep; their state is changed in place, and trials drawn later are added.
        data: for the digests of trials; each trial reads `tune.data` itself.
        copies: where a node keeps the tables that it copies from a URI.
        scratch: a folder for Ray's own files.
    """
    options = params.tune
    for trial in trials:
        if trial.history:
            runs.update(trial)
    queue = _Queue(params, trials, data, files)
    if not len(queue):
        return

    def save(trial: Trial) -> None:
        files.save(trial)
        runs.update(trial)

    shutil.rmtree(scratch, ignore_errors=True)
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                train_trial, place=_everywhere(options.data), copies=copies.resolve(), storage=storage
            ),
            {"cpu": options.cpus, "gpu": options.gpus},
        ),
        tune_config=tune.TuneConfig(
            search_alg=queue,
            num_samples=len(queue),
            scheduler=_scheduler(options, trials),
            max_concurrent_trials=options.concurrent,
            reuse_actors=True,
            time_budget_s=options.max_hours * SECONDS_PER_HOUR,
            trial_dirname_creator=lambda trial: trial.config["trial"]["key"],
        ),
        run_config=tune.RunConfig(
            name=scratch.name,
            storage_path=str(scratch.parent.resolve()),
            failure_config=tune.FailureConfig(max_failures=options.retries),
            callbacks=[_Recorder(trials, options, save)],
            verbose=0,
        ),
    ).fit()
    for trial in trials:
        if not trial.ended:
            trial.status = STOPPED
            files.save(trial)
            if trial.history:
                runs.update(trial)


class _Queue(Searcher):
    """The trials that wait, then those that Optuna draws when their turn comes."""

    def __init__(self, params: Params, trials: list[Trial], data: TrainingData, files: TrialFiles) -> None:
        super().__init__(metric="eer", mode="min")
        self._params, self._trials, self._data, self._files = params, trials, data, files
        self._waiting = [trial for trial in trials if not trial.ended]

    def __len__(self) -> int:
        """How many trials will come, at most."""
        return len(self._waiting) + trial_count(self._params.tune, len(self._trials)) - len(self._trials)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: no sweep resumes from Ray's own files."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial's config."""
        if not len(self) or not (self._waiting or self._draw()):
            return str(Searcher.FINISHED)
        trial = self._waiting.pop(0)
        params = trial_params(self._params, trial.values)
        return {"trial": {"key": trial.key, "params": params.model_dump()}}

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """Nothing: the recorder has written it down."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: no sweep resumes from Ray's own files."""

    def _draw(self) -> bool:
        """Add a trial, if the space holds one more."""
        from laspa.tuning.sampler import draw_next  # here: no other sampler needs Optuna

        values = draw_next(self._params, self._trials)
        if values is None:
            return False
        key = state_digest(trial_params(self._params, values), self._data)
        self._trials.append(self._files.load(len(self._trials) + 1, key, values))
        self._waiting.append(self._trials[-1])
        return True


class _Recorder(tune.Callback):
    """What Ray tells about the trials, saved."""

    def __init__(self, trials: list[Trial], options: Tune, save: Callable[[Trial], None]) -> None:
        self._trials, self._options, self._save = trials, options, save

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: no sweep resumes from Ray's own files."""
        return {}

    def on_trial_start(self, *, trial: Any, **_: Any) -> None:
        ours = self._of(trial)
        ours.status = RUNNING
        self._save(ours)

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        ours = self._of(trial)
        if "error" in result:
            ours.error = result["error"]
        elif ours.add(result["record"]):
            self._save(ours)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        ours = self._of(trial)
        whole = len(ours.history) >= self._options.epochs
        self._end(ours, FAILED if ours.error else FINISHED if whole else PRUNED)

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:
        ours = self._of(trial)
        ours.retries += 1
        self._save(ours)
        _say(f"trial {ours.number}: its process ended early; started again from its last whole epoch")

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        ours = self._of(trial)
        ours.error = _last_error_line(trial)
        self._end(ours, FAILED)

    def _of(self, trial: Any) -> Trial:
        key = trial.config["trial"]["key"]
        return next(ours for ours in self._trials if ours.key == key)

    def _end(self, trial: Trial, status: str) -> None:
        trial.status = status
        self._save(trial)
        ended = sum(other.ended for other in self._trials)
        rate = "" if trial.best is None else f", {PERCENT * trial.best:.2f} % EER on dev"
        error = f"; {trial.error}" if trial.error else ""
        _say(f"trial {trial.number}: {status} after {len(trial.history)} epochs{rate}{error}")
        _say(f"{ended} of {trial_count(self._options, len(self._trials))} trials ended")


def _scheduler(options: Tune, trials: list[Trial]) -> ASHAScheduler | None:
    """Asynchronous successive halving (Li et al. 2020) that knows what ended before this start."""
    if options.scheduler == "none":
        return None
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="eer",
        mode="min",
        max_t=options.epochs,
        grace_period=options.grace_epochs,
        reduction_factor=options.keep_one_in,
    )
    for trial in trials:
        if trial.ended:
            known = SimpleNamespace(trial_id=trial.key)
            scheduler.on_trial_add(None, known)
            for record in trial.history:
                scheduler.on_trial_result(None, known, {"epoch": record["epoch"], "eer": dev_eer(record)})
    return scheduler


def _check_resources(options: Tune) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for field, resource, remedy in (
        ("cpus", "CPU", "lower it"),
        ("gpus", "GPU", "set it to 0 to search on CPUs, or start nodes that have one"),
    ):
        wanted, most = getattr(options, field), max(node.get(resource, 0) for node in nodes)
        if wanted > most:
            raise LaspaError(
                f"params.yaml: tune.{field} is {wanted:g} but no node has more than "
                f"{most:g} {resource}; {remedy}"
            )


def _everywhere(place: str) -> str:
    """A folder's path that does not depend on where a worker runs, or the URI."""
    return place if "://" in place else str(Path(place).resolve())


def _last_error_line(trial: Any) -> str:
    """Of the file into which Ray writes a trial's error at once; the copy in Ray's storage comes later."""
    written = trial.error_file and Path(trial.error_file)
    text = written.read_text(encoding="utf-8").strip() if written and written.exists() else ""
    return text.splitlines()[-1].strip() if text else "its process ended"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
