"""Error rates of verification scores: EER, minimum DCF, and the curve they are read from.

Where several are wanted of many scores, sort each class first: sorted input is noticed, and all
functions are then linear in it or faster.
"""

from bisect import bisect_left
from typing import Literal

import numpy as np

from laspa.errors import LaspaError


def error_rates(target: np.ndarray, nontarget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False rejections and false acceptances at every threshold that changes a decision.

    Args:
        target, nontarget: scores, any order; a trial is accepted where its score exceeds the threshold.

    Returns:
        (thresholds + 1,) each: miss rates from 0 to 1 and false-alarm rates from 1 to 0, the first
        entry being "accept all".
    """
    target, nontarget = ascending(target), ascending(nontarget)
    thresholds = np.unique(np.concatenate([target, nontarget]))
    missed, rejected = (np.searchsorted(scores, thresholds, "right") for scores in (target, nontarget))
    return np.append(0.0, missed / len(target)), np.append(1.0, 1 - rejected / len(nontarget))


def weighted_error_rates(
    target: np.ndarray, nontarget: np.ndarray, target_weight: np.ndarray, nontarget_weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`error_rates` where each trial counts with a weight, as when speakers are resampled."""
    order, last = sort_scores(target, nontarget)
    weights = np.concatenate([target_weight, np.zeros(len(nontarget))])[order]
    alarms = np.concatenate([np.zeros(len(target)), nontarget_weight])[order]
    return rates_of_sorted(weights, alarms, last)


def sort_scores(target: np.ndarray, nontarget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ascending order of all scores, targets first, and where in it each run of equal scores ends."""
    scores = np.concatenate([target, nontarget])
    order = np.argsort(scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return order, last


def rates_of_sorted(
    target: np.ndarray, nontarget: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Miss and false-alarm rates from weights in the order of the scores; `last`: see `sort_scores`."""
    missed, rejected = np.cumsum(target)[last], np.cumsum(nontarget)[last]
    return np.append(0.0, missed / missed[-1]), np.append(1.0, 1 - rejected / rejected[-1])


def ascending(scores: np.ndarray) -> np.ndarray:
    """The scores in ascending order; the array itself where it is in order already.

    Raises:
        LaspaError: no scores, or one that is not a number.
    """
    if not len(scores):
        raise LaspaError("scores: a class is empty; targets and non-targets are needed")
    if not (scores[1:] >= scores[:-1]).all():
        scores = np.sort(scores)
    if np.isnan(scores[-1]):  # sorting puts them last
        raise LaspaError(f"scores: {int(np.isnan(scores).sum())} of {len(scores)} are NaN")
    return scores


def eer(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Equal error rate, a fraction: where miss and false-alarm rates cross, between points linearly.

    The crossing is bisected among the scores of each class; the curve is never written down.
    """
    kind = np.result_type(target, nontarget)  # one type, lest each look-up convert a whole array
    classes = [ascending(scores).astype(kind, copy=False) for scores in (target, nontarget)]

    def rates(threshold: np.generic, side: Literal["left", "right"]) -> tuple[float, float]:
        missed, rejected = (np.searchsorted(scores, threshold, side) / len(scores) for scores in classes)
        return float(missed), float(1 - rejected)

    def crossed(threshold: np.generic) -> bool:
        miss, alarm = rates(threshold, "right")
        return miss >= alarm

    found = [(scores, bisect_left(scores, True, key=crossed)) for scores in classes]
    first = min(scores[index] for scores, index in found if index < len(scores))
    points = rates(first, "left"), rates(first, "right")
    return eer_of_rates(*(np.array(rate) for rate in zip(*points, strict=True)))


def eer_of_rates(miss: np.ndarray, alarm: np.ndarray) -> float:
    """The crossing of two curves as `error_rates` gives them."""
    after = int(np.searchsorted(miss - alarm, 0.0))
    if after == 0:
        return float(miss[0])
    gap = miss - alarm
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(miss[after - 1] + share * (miss[after] - miss[after - 1]))


def min_dcf(
    target: np.ndarray, nontarget: np.ndarray, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Minimum detection cost over all thresholds, as a fraction of the better constant decision's cost.

    min over thresholds of c_miss·p·P_miss + c_fa·(1 − p)·P_fa, divided by min(c_miss·p, c_fa·(1 − p))
    (NIST speaker recognition evaluations).
    """
    miss_cost, alarm_cost = c_miss * p_target, c_fa * (1 - p_target)
    constant = min(miss_cost, alarm_cost)
    kind = np.result_type(target, nontarget)
    target, nontarget = (ascending(scores).astype(kind, copy=False) for scores in (target, nontarget))
    # More false alarms than this cost more than the better constant decision, so look no further.
    affordable = min(1 + int(constant / alarm_cost * len(nontarget)), len(nontarget) - 1)
    thresholds = nontarget[len(nontarget) - 1 - affordable :]
    missed = np.searchsorted(target, thresholds, side="right")
    # Of equal non-targets the last has the true number of alarms, the others count too many.
    alarms = np.arange(affordable, -1, -1)
    cost = miss_cost * missed / len(target) + alarm_cost * alarms / len(nontarget)
    return float(min(cost.min(), constant) / constant)
