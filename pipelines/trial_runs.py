"""A sweep's trials as nested runs in MLflow."""

from contextlib import ExitStack
from typing import Any

from ray.tune import Callback

from laspa.errors import LaspaError
from laspa.params import Params, with_overrides
from laspa.tuning.space import Changes
from pipelines import tracking


class TrialRuns(Callback):
    """A tracked run for each trial, nested under the sweep's.

    All of them are written by this one process, so that no trial waits for another's lock. A copy
    that Ray restores with an interrupted sweep opens the runs of before again, by their tags.
    """

    def __init__(self, params: Params, trials: list[Changes], name: str, parent: str | None) -> None:
        self.params, self.trials, self.name, self.parent = params, trials, name, parent
        self._open: dict[str, tuple[ExitStack, tracking.Run]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Open the trial's run."""
        self._run(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Log an epoch."""
        if "record" in result:
            self._run(trial).log_metrics(**tracking.epoch_metrics(result["record"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Close the run; a trial that was stopped early has finished too, and says that it was pruned."""
        reached = trial.last_result.get("epoch", 0)
        self._run(trial).set_tag("laspa.pruned", str(reached < self.params.train.epochs).lower())
        self._close(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Close the run as failed."""
        self._close(trial, LaspaError(f"trial {trial.config['trial']} failed"))

    def _run(self, trial: Any) -> tracking.Run:
        if trial.trial_id not in self._open:
            number = trial.config["trial"]
            changed = with_overrides(self.params, self.trials[number])
            tags = {"laspa.sweep": self.name, "laspa.trial": str(number)}
            opened = ExitStack()
            run = opened.enter_context(
                tracking.continued_run(f"trial {number}", "tune", changed, tags, self.parent)
            )
            self._open[trial.trial_id] = opened, run
        return self._open[trial.trial_id][1]

    def _close(self, trial: Any, error: Exception | None) -> None:
        opened, _ = self._open.pop(trial.trial_id)
        if error is None:
            opened.close()
            return
        try:
            opened.__exit__(type(error), error, None)
        except LaspaError:
            return
