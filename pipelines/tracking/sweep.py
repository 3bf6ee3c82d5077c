"""A sweep in MLflow: one run for it and a nested one for each trial, which say what the journal says.

Only the driver tracks, in a thread of its own: workers need no store, a local database has one writer, and
a store that is slow or away holds up no trial.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from laspa.files import read_json, write_json, write_text
from laspa.params import Params
from laspa.tuning.journal import FAILED, FINISHED, PRUNED, STOPPED, Trial
from laspa.tuning.space import trial_params
from pipelines.tracking import store as tracking

SWEEP_TAG, TRIAL_TAG = "laspa.sweep", "laspa.trial"
STATUS_TAG, RETRIES_TAG, ERROR_TAG = "laspa.trial_status", "laspa.retries", "laspa.error"
# MLflow has no status for a run that was stopped early on purpose: FINISHED are those of the full budget.
STATUSES = {FINISHED: "FINISHED", PRUNED: "KILLED", STOPPED: "KILLED", FAILED: "FAILED"}
EPOCH_METRIC = "loss/total"  # every epoch has it


class Board:
    """The runs of a sweep. Methods return at once; `board` waits at the end."""

    def __init__(self, params: Params, folder: Path) -> None:
        """Go on in the runs of the sweep whose identity is kept in `folder`, or begin new ones."""
        file = folder / "sweep.json"
        if not file.exists():
            write_json(file, {"id": uuid.uuid4().hex})
        self._id = read_json(file)["id"]
        self._params, self._tracked = params, folder / "tracked"
        self.sweep = tracking.open_run("sweep", "tune", params, {SWEEP_TAG: self._id}, None, watch=True)
        self._runs: dict[str, tuple[tracking.Run, set[int]]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tracking")
        self._shown: list[Future[None]] = []

    def show(self, trial: Trial) -> None:
        """Bring the trial's run up to date."""
        copy = replace(trial, history=list(trial.history))
        self._shown.append(self._thread.submit(self._show, copy))

    def close(self, status: str) -> None:
        """Wait for what is under way, then end the sweep's run."""
        self._thread.shutdown()
        self.sweep.close(status)
        for shown in self._shown:
            shown.result()

    def _show(self, trial: Trial) -> None:
        if (self._tracked / trial.key).exists():
            return
        run, logged = self._run(trial)
        for record in trial.history:
            if record["epoch"] not in logged:
                run.log_metrics(**tracking.epoch_metrics(record))
                logged.add(record["epoch"])
        if trial.retries:
            run.set_tag(RETRIES_TAG, str(trial.retries))
        if trial.status in STATUSES:
            run.log_metrics({"best_dev_eer": trial.best})
            run.set_tag(STATUS_TAG, trial.status)
            if trial.error:
                run.set_tag(ERROR_TAG, trial.error)
            run.close(STATUSES[trial.status])
            if trial.ended:
                write_text(self._tracked / trial.key, "")
            del self._runs[trial.key]

    def _run(self, trial: Trial) -> tuple[tracking.Run, set[int]]:
        if trial.key not in self._runs:
            run = tracking.open_run(
                f"trial {trial.number}",
                "tune",
                trial_params(self._params, trial.values),
                {TRIAL_TAG: f"{self._id}/{trial.key}"},
                self.sweep.run_id,
                watch=False,
            )
            self._runs[trial.key] = run, run.steps(EPOCH_METRIC)
        return self._runs[trial.key]


@contextmanager
def board(params: Params, folder: Path) -> Iterator[Board]:
    """A board whose sweep is FAILED if the block raises, KILLED if it is interrupted, else FINISHED."""
    opened, status = Board(params, folder), "FAILED"
    try:
        yield opened
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        opened.close(status)
