"""What is kept of each trial of a sweep, written at every epoch: a driver that is killed loses nothing.

One JSON file a trial, named by the digest of all that determines its training. So a trial that is drawn
again, by a sweep that was killed or has more trials now, goes on or is there already.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from laspa.files import read_json, write_json
from laspa.tuning.space import Values

WAITING, RUNNING, FINISHED, PRUNED, FAILED, STOPPED = (
    "waiting",
    "running",
    "finished",
    "pruned",
    "failed",
    "stopped",
)
ENDED = (FINISHED, PRUNED, FAILED)
# As laspa.training.run.dev_eers orders them, which a file with sorted keys does not keep.
STEERING = ("eer_cross_same", "eer_same_same", "eer_all")


@dataclass
class Trial:
    """A trial and its history.

    Attributes:
        number: its place among the draws, from 1.
        key: digest of its params and data.
        values: what it changes.
        status: waiting, running, finished, pruned (stopped early), failed, or stopped (by the budget).
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
        return min((dev_eer(record) for record in self.history), default=None)

    def add(self, record: dict[str, Any]) -> bool:
        """Take an epoch's record; those that a retried trial repeats are known already (False)."""
        if record["epoch"] <= len(self.history):
            return False
        self.history.append(record)
        return True


def dev_eer(record: dict[str, Any]) -> float:
    """The EER on dev that steers training: cross/same where the corpus has it."""
    dev = record["dev"]
    return float(next(dev[name] for name in STEERING if name in dev))


class Journal:
    """The trials' files in a folder, and whoever is to have a copy of what is written."""

    def __init__(self, folder: Path, copy: Callable[[Path], None] = lambda file: None) -> None:
        self.folder, self._copy = folder, copy

    def open(self, number: int, key: str, values: Values) -> Trial:
        """The trial as it was left, or a new one; what was under way waits again."""
        file = self._file(key)
        if not file.exists():
            return Trial(number, key, values)
        trial = Trial(**read_json(file) | {"number": number, "values": values})
        if not trial.ended:
            trial.status = WAITING
        return trial

    def kept(self) -> list[Trial]:
        """All trials that have a file, of whatever sweep, in the order of their numbers."""
        trials = [Trial(**read_json(file)) for file in self.folder.glob("[!.]*.json")]
        return sorted(trials, key=lambda trial: (trial.number, trial.key))

    def save(self, trial: Trial) -> None:
        """Write the trial, whole or not at all."""
        write_json(self._file(trial.key), asdict(trial))
        self._copy(self._file(trial.key))

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"
