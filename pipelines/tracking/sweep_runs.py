"""A sweep in MLflow: one run for it and a nested one for each trial, with what the trial's file has.

Only the driver tracks, in a separate thread: workers need no store, a local database has one writer, and
no trial waits for a store that is slow or away.
"""

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from laspa.files import read_json, write_json, write_text
from laspa.params import Params
from laspa.tuning.space import trial_params
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, STOPPED, Trial
from pipelines.tracking.metrics import epoch_metrics
from pipelines.tracking.runs import start_run
from pipelines.tracking.tracked_run import ClosedWithStatus, TrackedRun

SWEEP_TAG, TRIAL_TAG = "laspa.sweep", "laspa.trial"
STATUS_TAG, RETRIES_TAG, ERROR_TAG = "laspa.trial_status", "laspa.retries", "laspa.error"
# MLflow has no status for a run that was stopped early on purpose: FINISHED are trials with all their epochs.
STATUSES = {FINISHED: "FINISHED", PRUNED: "KILLED", STOPPED: "KILLED", FAILED: "FAILED"}
EPOCH_METRIC = "loss/total"  # every epoch has it


class SweepRuns(ClosedWithStatus):
    """The runs of a sweep. `update` returns at once; `close` waits."""

    def __init__(self, params: Params, folder: Path) -> None:
        """Reopen the runs of the sweep whose id is kept in `folder`, or start new ones."""
        file = folder / "sweep.json"
        if not file.exists():
            write_json(file, {"id": uuid.uuid4().hex})
        self._id = read_json(file)["id"]
        self._params, self._ended = params, folder / "tracked"
        self.sweep = start_run("sweep", "tune", params, find={SWEEP_TAG: self._id})
        self._runs: dict[str, tuple[TrackedRun, set[int]]] = {}  # with the epochs that are logged
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tracking")
        self._updates: list[Future[None]] = []

    def update(self, trial: Trial) -> None:
        """Bring the trial's run up to date."""
        copy = replace(trial, history=list(trial.history))
        self._updates.append(self._thread.submit(self._update, copy))

    def close(self, status: str) -> None:
        """Wait for all updates, then end the sweep's run."""
        self._thread.shutdown()
        self.sweep.close(status)
        for update in self._updates:
            update.result()

    def _update(self, trial: Trial) -> None:
        if (self._ended / trial.key).exists():
            return
        if trial.key not in self._runs:
            params, tags = trial_params(self._params, trial.values), {TRIAL_TAG: f"{self._id}/{trial.key}"}
            run = start_run(
                f"trial {trial.number}", "tune", params, find=tags, parent=self.sweep, watch=False
            )
            self._runs[trial.key] = run, run.steps(EPOCH_METRIC)
        run, logged = self._runs[trial.key]
        for record in trial.history:
            if record["epoch"] not in logged:
                run.log_metrics(**epoch_metrics(record))
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
                write_text(self._ended / trial.key, "")
            del self._runs[trial.key]
