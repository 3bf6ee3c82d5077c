"""Beyond EER and minDCF: actDCF, Cllr, the convex hull of the ROC curve, FRR at a given FAR."""

import numpy as np
from scipy.optimize import isotonic_regression

from laspa.evaluation.error_rates import eer_of_rates, error_rates, rates_of_sorted, sort_scores

TOLERANCE = 1e-9  # of a rate, so that 1 − 0.99 counts as 0.01


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
    miss, alarm = rates_of_sorted(targets, nontargets, np.arange(len(targets)))
    return eer_of_rates(miss, alarm)


def frr_at_far(target: np.ndarray, nontarget: np.ndarray, far: float) -> float:
    """Fewest targets rejected at a threshold that accepts at most `far` of the non-targets."""
    miss, alarm = error_rates(target, nontarget)
    return float(miss[np.flatnonzero(alarm <= far + TOLERANCE)[0]])


def _hull_steps(target: np.ndarray, nontarget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets and non-targets on each segment of the ROC's convex hull, by rising score.

    The share of targets, made monotone by isotonic regression, is constant on each segment.
    """
    order, last = sort_scores(target, nontarget)
    is_target = order < len(target)
    counts = np.diff(np.cumsum(is_target)[last], prepend=0).astype(float)
    sizes = np.diff(last, prepend=-1).astype(float)
    blocks = isotonic_regression(counts / sizes, weights=sizes).blocks[:-1]
    return np.add.reduceat(counts, blocks), np.add.reduceat(sizes - counts, blocks)
