"""The trials of a sweep under Ray Tune, on this machine or on the cluster that RAY_ADDRESS names."""

import logging
import shutil
import sys
from collections.abc import Iterator
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
from laspa.tuning.journal import FAILED, FINISHED, PRUNED, RUNNING, STOPPED, Journal, Trial, dev_eer
from laspa.tuning.sampler import draw_next
from laspa.tuning.space import planned, trial_params
from laspa.tuning.storage import Storage
from pipelines.ray.session import ray_session
from pipelines.ray.trial import train_trial
from pipelines.tracking.sweep import Board

# Of the driver: no tables and log files of what the journal has, Ctrl-C as usual.
DRIVER_VARIABLES = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# Of workers: seconds that a trial which is stopped has to leave its process to the next one.
WORKER_VARIABLES = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "60"}
SECONDS_PER_HOUR = 3600
PERCENT = 100


@contextmanager
def ray_started(options: Tune) -> Iterator[None]:
    """Ray on this machine alone, or the cluster of RAY_ADDRESS.

    Raises:
        LaspaError: an address that nobody answers, or no node with the CPUs or GPUs that a trial asks for.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what becomes of a trial is said below
    with ray_session(DRIVER_VARIABLES, WORKER_VARIABLES):
        _check_resources(options)
        yield


def run_trials(
    params: Params,
    trials: list[Trial],
    data: TrainingData,
    storage: Storage,
    journal: Journal,
    board: Board,
    scratch: Path,
) -> None:
    """Run the trials that have not ended, and write what becomes of each to the journal and the board.

    Args:
        trials: of the whole sweep; their state is changed in place, and what is drawn on the way is added.
        scratch: a folder for what Ray keeps of its own.
    """
    options = params.tune
    for trial in trials:
        if trial.history:
            board.show(trial)
    queue = _Queue(params, trials, data, journal)
    if not len(queue):
        return
    shutil.rmtree(scratch, ignore_errors=True)
    trainable = tune.with_resources(
        tune.with_parameters(train_trial, data=data, storage=storage),
        {"cpu": options.cpus, "gpu": options.gpus},
    )
    tuner = tune.Tuner(
        trainable,
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
            callbacks=[_Recorder(trials, options, journal, board)],
            verbose=0,
        ),
    )
    tuner.fit()
    for trial in trials:
        if not trial.ended:
            trial.status = STOPPED
            journal.save(trial)
            if trial.history:
                board.show(trial)


class _Queue(Searcher):
    """The trials that wait, and behind them those that Optuna draws when their turn comes."""

    def __init__(self, params: Params, trials: list[Trial], data: TrainingData, journal: Journal) -> None:
        super().__init__(metric="eer", mode="min")
        self._params, self._trials, self._data, self._journal = params, trials, data, journal
        self._waiting = [trial for trial in trials if not trial.ended]

    def __len__(self) -> int:
        """How many trials will come, at most."""
        return len(self._waiting) + self._to_draw()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray would write the features into its copy of a sweep, which goes on from the journal."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial's config."""
        trial = self._waiting.pop(0) if self._waiting else self._drawn()
        if trial is None:
            return str(Searcher.FINISHED)
        params = trial_params(self._params, trial.values)
        return {"trial": {"key": trial.key, "params": params.model_dump()}}

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """The recorder has written it down."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep goes on from the journal."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a sweep goes on from the journal."""

    def _to_draw(self) -> int:
        return planned(self._params.tune, len(self._trials)) - len(self._trials)

    def _drawn(self) -> Trial | None:
        values = draw_next(self._params, self._trials) if self._to_draw() else None
        if values is None:
            return None
        key = state_digest(trial_params(self._params, values), self._data)
        self._trials.append(self._journal.open(len(self._trials) + 1, key, values))
        return self._trials[-1]


class _Recorder(tune.Callback):
    """What Ray says of the trials, written to the journal and the board."""

    def __init__(self, trials: list[Trial], options: Tune, journal: Journal, board: Board) -> None:
        self._trials, self._options = trials, options
        self._journal, self._board = journal, board

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy of its settings, but a sweep goes on from the journal."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._of(trial)
        ours.status = RUNNING
        self._write(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        ours = self._of(trial)
        if "error" in result:
            ours.error = result["error"]
        elif ours.add(result["record"]):
            self._write(ours)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._of(trial)
        whole = len(ours.history) >= self._options.epochs
        ours.status = FAILED if ours.error else FINISHED if whole else PRUNED
        self._end(ours)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._of(trial)
        ours.retries += 1
        self._write(ours)
        _say(f"trial {ours.number}: its process ended early; started again from its last whole epoch")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._of(trial)
        ours.status, ours.error = FAILED, _why(trial)
        self._end(ours)

    def _of(self, trial: Any) -> Trial:
        key = trial.config["trial"]["key"]
        return next(ours for ours in self._trials if ours.key == key)

    def _write(self, trial: Trial) -> None:
        self._journal.save(trial)
        self._board.show(trial)

    def _end(self, trial: Trial) -> None:
        self._write(trial)
        ended = sum(other.ended for other in self._trials)
        rate = "" if trial.best is None else f", {PERCENT * trial.best:.2f} % EER on dev"
        what = f"{trial.status} after {len(trial.history)} epochs{rate}"
        _say(f"trial {trial.number}: {what}{'; ' + trial.error if trial.error else ''}")
        _say(f"{ended} of {planned(self._options, len(self._trials))} trials ended")


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


def _why(trial: Any) -> str:
    """The last line of the error that Ray wrote down of a trial; its copy in the storage comes later."""
    written = trial.error_file and Path(trial.error_file)
    text = written.read_text(encoding="utf-8") if written and written.exists() else ""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "its process ended"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
