"""Confidence intervals that know trials share speakers: resampling speakers, not trials."""

import numpy as np

from laspa.metrics import eer_of_rates, rates_of_sorted, sort_scores

CONFIDENCE = 0.95


def eer_interval(
    scores: np.ndarray, target: np.ndarray, enroll: np.ndarray, test: np.ndarray, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of the EER over speakers drawn with replacement.

    A speaker drawn twice counts twice: a target trial with its speaker's multiplicity, a
    non-target trial with the product of both speakers' (Poh and Bengio, 2007). Resamples in
    which one of the classes is empty are left out.

    Args:
        scores: (trials,).
        target: (trials,) boolean.
        enroll, test: (trials,) speaker numbers.
    """
    numbers, pairs = np.unique(np.stack([enroll, test]), return_inverse=True)
    enroll, test = pairs.reshape(2, -1)
    order, last = sort_scores(scores[target], scores[~target])
    trial = np.concatenate([np.flatnonzero(target), np.flatnonzero(~target)])[order]
    first, second, is_target = enroll[trial], test[trial], target[trial]
    generator = np.random.default_rng(seed)
    eers = []
    for _ in range(resamples):
        count = np.bincount(generator.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        weight = np.where(is_target, count[first], count[first] * count[second]).astype(np.float64)
        targets, nontargets = weight * is_target, weight * ~is_target
        if targets.any() and nontargets.any():
            eers.append(eer_of_rates(*rates_of_sorted(targets, nontargets, last)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(eers, [tail, 1 - tail])
    return float(low), float(high)
