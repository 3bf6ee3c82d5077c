"""Two systems on the same trials: is the difference of their EERs more than chance?"""

from dataclasses import dataclass

import numpy as np

from laspa.bootstrap import CONFIDENCE
from laspa.errors import LaspaError
from laspa.metrics import eer_of_rates, rates_of_sorted, sort_scores


@dataclass(frozen=True)
class Comparison:
    """EERs as fractions; difference = second − first, with its interval and two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    resamples: int


def compare_eers(
    first: np.ndarray,
    second: np.ndarray,
    target: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    resamples: int,
    seed: int,
) -> Comparison:
    """Paired bootstrap over speakers: each resample weighs the trials of both systems alike.

    The weights are those of `bootstrap.eer_interval`. The p-value is twice the share of resamples
    whose difference has the other sign or is zero, counting the data themselves as one.

    Args:
        first, second: (trials,) scores of the two systems.
        target: (trials,) boolean.
        enroll, test: (trials,) speaker numbers.

    Raises:
        LaspaError: no resample holds trials of both classes.
    """
    numbers, pairs = np.unique(np.stack([enroll, test]), return_inverse=True)
    one, other = pairs.reshape(2, -1)
    systems = [_Sorted(scores, target) for scores in (first, second)]
    generator = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        count = np.bincount(generator.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        weight = np.where(target, count[one], count[one] * count[other]).astype(np.float64)
        if (weight * target).any() and (weight * ~target).any():
            differences.append(systems[1].eer(weight) - systems[0].eer(weight))
    if not differences:
        raise LaspaError(
            f"comparison: none of {resamples} resamples of {len(numbers)} speakers holds targets and "
            "non-targets; more speakers are needed"
        )
    eers = [system.eer(np.ones(len(target))) for system in systems]
    drawn = np.array(differences)
    sides = [(np.sum(drawn <= 0) + 1) / (len(drawn) + 1), (np.sum(drawn >= 0) + 1) / (len(drawn) + 1)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    p_value = min(1.0, 2 * min(sides))
    return Comparison(
        eers[0], eers[1], eers[1] - eers[0], float(low), float(high), float(p_value), len(drawn)
    )


class _Sorted:
    """Scores sorted once, so that each resample costs sums only."""

    def __init__(self, scores: np.ndarray, target: np.ndarray) -> None:
        order, self.last = sort_scores(scores[target], scores[~target])
        self.trial = np.concatenate([np.flatnonzero(target), np.flatnonzero(~target)])[order]
        self.target = target[self.trial]

    def eer(self, weight: np.ndarray) -> float:
        weight = weight[self.trial]
        return eer_of_rates(*rates_of_sorted(weight * self.target, weight * ~self.target, self.last))
