"""Two systems on the same trials: is the difference of their EERs more than chance?"""

from dataclasses import dataclass

import numpy as np

from laspa.bootstrap import percentile_interval, resampled_eers
from laspa.errors import LaspaError
from laspa.metrics import eer


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

    The draws are those of `bootstrap.eer_interval`. The p-value is twice the share of resamples
    whose difference has the other sign or is zero, counting the data themselves as one.

    Args:
        first, second: (trials,) scores of the two systems.
        target: (trials,) boolean.
        enroll, test: (trials,) speaker numbers.

    Raises:
        LaspaError: no resample holds trials of both classes.
    """
    everything = {"all": np.ones(len(target), dtype=bool)}
    drawn_first, drawn_second = (
        resampled_eers(scores, target, enroll, test, everything, resamples, seed)["all"]
        for scores in (first, second)
    )
    drawn = drawn_second - drawn_first
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        speakers = len(np.unique(np.append(enroll, test)))
        raise LaspaError(
            f"comparison: none of {resamples} resamples of {speakers} speakers holds targets and "
            "non-targets; more speakers are needed"
        )
    one, other = (eer(scores[target], scores[~target]) for scores in (first, second))
    sides = [(np.sum(drawn <= 0) + 1) / (len(drawn) + 1), (np.sum(drawn >= 0) + 1) / (len(drawn) + 1)]
    low, high = percentile_interval(drawn)
    p_value = min(1.0, 2 * min(sides))
    return Comparison(one, other, other - one, low, high, float(p_value), len(drawn))
