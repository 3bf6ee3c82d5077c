"""The file of each trial of a sweep, written after every epoch: a driver that is killed loses nothing.

One JSON file per trial, named by the digest of all that determines its training. So a trial that is drawn
again, after a kill or with a higher `tune.trials`, resumes or is already finished.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from laspa.files import parsed, read_json, write_json
from laspa.trials.conditions import CONDITIONS
from laspa.tuning.space import Values

WAITING, RUNNING, STOPPED = "waiting", "running", "stopped"
FINISHED, PRUNED, FAILED = ENDED = "finished", "pruned", "failed"


@dataclass
class Trial:
    """A trial and its history.

    Attributes:
        number: its place among the draws, from 1.
        key: digest of its params and data.
        values: what it changes.
        status: waiting, running, finished, pruned (stopped early), failed, or stopped (by `max_hours`).
        history: records of its epochs, as training gives them.
        retries: how often its process died.
        error: of a trial that failed.
    """

    number: int
    key: str
    values: Values
    status: str = WAITING
    history: list[dict[str, Any]] = field(default_factory=list)
    retries: int = 0
    error: str | None = None

    @property
    def ended(self) -> bool:
        """No more epochs will come."""
        return self.status in ENDED

    @property
    def best(self) -> float | None:
        """The lowest EER on dev over its epochs, which is that of the model it would keep."""
        return min(map(dev_eer, self.history), default=None)

    def add(self, record: dict[str, Any]) -> bool:
        """Add an epoch's record; False if it is known, since a retried trial reports its epochs again."""
        if record["epoch"] <= len(self.history):
            return False
        self.history.append(record)
        return True


def dev_eer(record: dict[str, Any]) -> float:
    """The EER on dev that steers training: that of the first condition of CONDITIONS that dev has."""
    dev = record["dev"]
    return float(next(dev[f"eer_{name}"] for name in CONDITIONS if f"eer_{name}" in dev))


def _read(file: Path) -> Trial:
    with parsed(file, "a trial's file", "remove it, and the trial runs again"):
        return Trial(**read_json(file))


class TrialFiles:
    """The trials' files in a folder; `copy` is called with each file that is written."""

    def __init__(self, folder: Path, copy: Callable[[Path], None] = lambda file: None) -> None:
        self.folder, self._copy = folder, copy

    def load(self, number: int, key: str, values: Values) -> Trial:
        """The trial as its file has it, or a new one; a trial that has not ended waits again."""
        file = self._file(key)
        if not file.exists():
            return Trial(number, key, values)
        trial = replace(_read(file), number=number, values=values)
        if not trial.ended:
            trial.status = WAITING
        return trial

    def load_all(self) -> list[Trial]:
        """All trials that have a file, of any sweep, in the order of their numbers."""
        trials = [_read(file) for file in self.folder.glob("[!.]*.json")]
        return sorted(trials, key=lambda trial: (trial.number, trial.key))

    def save(self, trial: Trial) -> None:
        """Write the trial's file, whole or not at all."""
        write_json(self._file(trial.key), asdict(trial))
        self._copy(self._file(trial.key))

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"
