"""Two systems on the same trials: is the difference of their EERs more than chance?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import eer
from laspa.evaluation.intervals import percentile_interval, resampled_eers


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
    """`compare_parts` of all trials together."""
    everything = {"all": np.ones(len(target), dtype=bool)}
    return compare_parts(first, second, target, enroll, test, everything, resamples, seed)["all"]


def compare_parts(
    first: np.ndarray,
    second: np.ndarray,
    target: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    parts: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[str, Comparison]:
    """Paired bootstrap over speakers: each resample weighs the trials of both systems alike.

    The draws are those of `bootstrap.eer_interval`. The p-value is twice the share of resamples
    whose difference has the other sign or is zero, counting the data themselves as one.

    Args:
        first, second: (trials,) scores of the two systems.
        target: (trials,) boolean.
        enroll, test: (trials,) speaker numbers.
        parts: (trials,) boolean each, which trials belong to a part.

    Raises:
        LaspaError: no resample holds trials of both classes of a part.
    """
    drawn_first, drawn_second = (
        resampled_eers(scores, target, enroll, test, parts, resamples, seed) for scores in (first, second)
    )
    compared = {}
    for name, part in parts.items():
        drawn = drawn_second[name] - drawn_first[name]
        drawn = drawn[~np.isnan(drawn)]
        if not len(drawn):
            speakers = len(np.unique(np.append(enroll, test)))
            raise LaspaError(
                f"comparison: none of {resamples} resamples of {speakers} speakers holds targets and "
                "non-targets; more speakers are needed"
            )
        rates = [eer(scores[part & target], scores[part & ~target]) for scores in (first, second)]
        compared[name] = _compared(rates[0], rates[1], drawn)
    return compared


def _compared(one: float, other: float, drawn: np.ndarray) -> Comparison:
    sides = [(np.sum(drawn <= 0) + 1) / (len(drawn) + 1), (np.sum(drawn >= 0) + 1) / (len(drawn) + 1)]
    low, high = percentile_interval(drawn)
    p_value = min(1.0, 2 * min(sides))
    return Comparison(one, other, other - one, low, high, float(p_value), len(drawn))
