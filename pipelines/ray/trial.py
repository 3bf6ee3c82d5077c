"""One trial of a sweep, as a Ray worker runs it: the one training function, reporting each epoch."""

import warnings
from typing import Any

from ray import tune

from laspa.errors import LaspaError
from laspa.params import Params
from laspa.training.loop import Record
from laspa.training.run import TrainingData, train_system
from laspa.tuning.storage import Storage
from laspa.tuning.trial_files import dev_eer


def train_trial(config: dict[str, Any], data: TrainingData, storage: Storage) -> None:
    """Train what `config["trial"]` describes, from its last whole epoch if it was started before.

    Reports `epoch`, `eer` (on dev) and `record` after each epoch; a resumed trial reports its earlier epochs
    again. A failure that would come again each time, such as a loss that is not finite, is reported as
    `error`; any other raises, and Ray starts the trial again.

    Args:
        config: `key` and `params` under `trial`.
        data: arrays in Ray's object store, read-only and shared by all trials of a node.
    """
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing writes to it
    trial = config["trial"]
    epoch = 0
    with storage.states(trial["key"]) as (states, keep):

        def report(record: Record) -> None:
            nonlocal epoch
            keep()
            epoch = record["epoch"]
            tune.report({"epoch": epoch, "eer": dev_eer(record), "record": record})

        try:
            train_system(Params.model_validate(trial["params"]), data, states, report)
        except LaspaError as error:
            tune.report({"epoch": epoch, "eer": float("nan"), "error": str(error)})
