"""Error rates of verification scores: EER, minimum DCF, and the curve they are read from."""

import numpy as np


def error_rates(target: np.ndarray, nontarget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False rejections and false acceptances at every threshold that changes a decision.

    Args:
        target, nontarget: scores, any order; a trial is accepted where its score exceeds the threshold.

    Returns:
        (thresholds + 1,) each: miss rates from 0 to 1 and false-alarm rates from 1 to 0, the first
        entry being "accept all".
    """
    ones = np.ones
    return weighted_error_rates(target, nontarget, ones(len(target)), ones(len(nontarget)))


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


def eer(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Equal error rate, a fraction: where miss and false-alarm rates cross, between points linearly."""
    return eer_of_rates(*error_rates(target, nontarget))


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
    miss, alarm = error_rates(target, nontarget)
    cost = c_miss * p_target * miss + c_fa * (1 - p_target) * alarm
    return float(cost.min() / min(c_miss * p_target, c_fa * (1 - p_target)))
