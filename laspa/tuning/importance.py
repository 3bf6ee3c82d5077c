"""How much each param that varies matters to the EER on dev, as far as the trials can tell."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from laspa.tuning.space import Dimension
from laspa.tuning.trial_files import Trial, dev_eer

FEWEST_TRIALS = 8  # a forest on fewer tells nothing; our choice
TREES, REPEATS = 300, 30
CHANCE = "a random number"


@dataclass
class Importance:
    """Permutation importance by name, largest first, of `trials` trials after `epoch` epochs.

    `values` are (mean, standard deviation) of the drop in explained variance when the param's values
    are shuffled among the trials. CHANCE is a column of noise: a param that is no higher shows nothing.
    """

    values: dict[str, tuple[float, float]]
    epoch: int
    trials: int


def importances(dimensions: list[Dimension], trials: list[Trial], seed: int) -> Importance | None:
    """From a random forest (Breiman 2001) on the EER at the last epoch that all trials reached.

    So trials that were stopped early count like the others. None for fewer than FEWEST_TRIALS trials.
    """
    reached = [trial for trial in trials if trial.history and trial.error is None]
    if len(reached) < FEWEST_TRIALS:
        return None
    epoch = min(len(trial.history) for trial in reached)
    rates = np.array([dev_eer(trial.history[epoch - 1]) for trial in reached])
    noise = np.random.default_rng(seed).random(len(reached))
    columns = [
        [position(dimension, trial.values[dimension.name]) for trial in reached] for dimension in dimensions
    ]
    features = np.column_stack([*columns, noise])
    forest = RandomForestRegressor(TREES, random_state=seed).fit(features, rates)
    found = permutation_importance(forest, features, rates, n_repeats=REPEATS, random_state=seed)
    names = [*(dimension.name for dimension in dimensions), CHANCE]
    values = {
        names[index]: (float(found.importances_mean[index]), float(found.importances_std[index]))
        for index in np.argsort(-found.importances_mean, kind="stable")
    }
    return Importance(values, epoch, len(reached))


def position(dimension: Dimension, value: Any) -> float:
    """The place of a value on the dimension's own scale, from 0 to 1.

    Choices are spaced evenly. A number between two of them is placed between them, any other value beyond the
    last.
    """
    if dimension.kind == "choice":
        choices = list(dimension.values)
        if all(isinstance(choice, int | float) for choice in [*choices, value]):
            place = float(np.interp(value, sorted(choices), range(len(choices))))
        else:
            place = choices.index(value) if value in choices else len(choices)
        return place / max(len(choices) - 1, 1)
    low, high = dimension.values
    if dimension.kind == "loguniform" and value > 0:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))
