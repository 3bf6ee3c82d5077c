"""Error rates of verification scores: EER, detection costs, Cllr, the ROC's convex hull, FRR at a given FAR.

To compute several of them from many scores, sort each class first: sorted input is noticed, and all
functions are then linear in it or faster.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from laspa.errors import LaspaError

TOLERANCE = 1e-9  # of a rate, so that 1 − 0.99 counts as 0.01


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
    return _crossing(*(np.array(rate) for rate in zip(*points, strict=True)))


def _crossing(miss: np.ndarray, alarm: np.ndarray) -> float:
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


def act_dcf(
    target: np.ndarray, nontarget: np.ndarray, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Detection cost at the Bayes threshold ln(c_fa·(1 − p) / (c_miss·p)), normalised as `min_dcf` is.

    Args:
        target, nontarget: natural-logarithm likelihood ratios; a trial above the threshold is accepted.
    """
    threshold = np.log(c_fa * (1 - p_target) / (c_miss * p_target))
    cost = c_miss * p_target * np.mean(target <= threshold)
    cost += c_fa * (1 - p_target) * np.mean(nontarget > threshold)
    return float(cost / min(c_miss * p_target, c_fa * (1 - p_target)))


def cllr(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Cost of likelihood ratios in bits, 1 for a system that always says 0 (Brümmer and du Preez, 2006).

    ½·(mean over targets of log₂(1 + e^−s) + mean over non-targets of log₂(1 + e^s))
    """
    bits = np.mean(np.logaddexp(0, -target)) + np.mean(np.logaddexp(0, nontarget))
    return float(bits / (2 * np.log(2)))


def min_cllr(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Cllr after the best monotone mapping of the scores, found by pooling adjacent violators."""
    targets, nontargets = _hull_steps(target, nontarget)
    with np.errstate(divide="ignore"):
        ratio = np.log(targets / targets.sum()) - np.log(nontargets / nontargets.sum())
    misses = targets[targets > 0] @ np.logaddexp(0, -ratio[targets > 0]) / targets.sum()
    alarms = nontargets[nontargets > 0] @ np.logaddexp(0, ratio[nontargets > 0]) / nontargets.sum()
    return float((misses + alarms) / (2 * np.log(2)))


def eer_convex_hull(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Equal error rate of the ROC's convex hull: what the best mixture of two thresholds reaches."""
    targets, nontargets = _hull_steps(target, nontarget)
    missed, rejected = np.cumsum(targets), np.cumsum(nontargets)
    return _crossing(np.append(0.0, missed / missed[-1]), np.append(1.0, 1 - rejected / rejected[-1]))


def frr_at_far(target: np.ndarray, nontarget: np.ndarray, far: float) -> float:
    """Fewest targets rejected at a threshold that accepts at most `far` of the non-targets."""
    miss, alarm = error_rates(target, nontarget)
    return float(miss[np.flatnonzero(alarm <= far + TOLERANCE)[0]])


def _hull_steps(target: np.ndarray, nontarget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets and non-targets on each segment of the ROC's convex hull, by rising score.

    The share of targets, made monotone by isotonic regression, is constant on each segment.
    """
    scores = np.concatenate([target, nontarget])
    order = np.argsort(scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    counts = np.diff(np.cumsum(order < len(target))[last], prepend=0).astype(float)
    sizes = np.diff(last, prepend=-1).astype(float)
    blocks = isotonic_regression(counts / sizes, weights=sizes).blocks[:-1]
    return np.add.reduceat(counts, blocks), np.add.reduceat(sizes - counts, blocks)


class Rate(NamedTuple):
    """An error rate or cost of a list's scores, and how tables name it.

    heading: in the report. column: in the table of `laspa metrics`. percent: whether it is shown in per cent.
    calibrated: whether it is of log likelihood ratios. of: computes it from the scores of targets and of
    non-targets, (n,) each, sorted.
    """

    heading: str
    column: str
    percent: bool
    calibrated: bool
    of: Callable[[np.ndarray, np.ndarray], float]


# Every rate that is measured, by its name in files.
RATES = {
    "eer": Rate("EER", "EER", True, False, eer),
    "eer_convex_hull": Rate("EER\nof the hull", "hull", True, False, eer_convex_hull),
    "min_dcf_01": Rate("minDCF\n(0.01)", "minDCF.01", False, False, partial(min_dcf, p_target=0.01)),
    "min_dcf_05": Rate("minDCF\n(0.05)", "minDCF.05", False, False, partial(min_dcf, p_target=0.05)),
    "act_dcf_01": Rate("actDCF\n(0.01)", "actDCF.01", False, True, partial(act_dcf, p_target=0.01)),
    "act_dcf_05": Rate("actDCF\n(0.05)", "actDCF.05", False, True, partial(act_dcf, p_target=0.05)),
    "cllr": Rate("Cllr", "Cllr", False, True, cllr),
    "min_cllr": Rate("minCllr", "minCllr", False, False, min_cllr),
    "frr_at_far_1": Rate("FRR at\nFAR 1 %", "FRR@1", True, False, partial(frr_at_far, far=0.01)),
    "frr_at_far_01": Rate("FRR at\nFAR 0.1 %", "FRR@.1", True, False, partial(frr_at_far, far=0.001)),
}
