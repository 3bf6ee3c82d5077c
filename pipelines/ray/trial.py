"""One trial of a sweep, as a Ray worker runs it: the one training function, reporting each epoch."""

from functools import cache
from pathlib import Path
from typing import Any

from ray import tune

from laspa.errors import LaspaError
from laspa.params import Params
from laspa.training.loop import Record
from laspa.training.run import TrainingData, load_training_data, state_digest, train_system
from laspa.tuning.storage import READ, Storage, tables
from laspa.tuning.trial_files import dev_eer


def train_trial(config: dict[str, Any], place: str, copies: Path, storage: Storage) -> None:
    """Train what `config["trial"]` describes, from its last whole epoch if it was started before.

    Reports `epoch`, `eer` (on dev) and `record` after each epoch; a resumed trial reports its earlier epochs
    again. A failure that would come again each time, such as a loss that is not finite, is reported as
    `error`; any other raises, and Ray starts the trial again.

    Args:
        config: `key` and `params` under `trial`.
        place: `tune.data`, a folder that this node reaches under the driver's path, or a URI.
        copies: where the tables of a URI are copied, once for all trials of this node.
    """
    trial = config["trial"]
    epoch = 0
    with storage.states(trial["key"]) as (states, keep):

        def report(record: Record) -> None:
            nonlocal epoch
            keep()
            epoch = record["epoch"]
            tune.report({"epoch": epoch, "eer": dev_eer(record), "record": record})

        try:
            params, data = Params.model_validate(trial["params"]), _training_data(place, copies)
            if state_digest(params, data) != trial["key"]:
                raise LaspaError(f"tune.data: {place} is not on this node what it is on the driver's")
            train_system(params, data, states, report)
        except LaspaError as error:
            tune.report({"epoch": epoch, "eer": float("nan"), "error": str(error)})


@cache
def _training_data(place: str, copies: Path) -> TrainingData:
    """Read once by a worker for all its trials."""
    return load_training_data(tables(place, READ, copies))
