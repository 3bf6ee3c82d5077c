"""Confidence intervals that take into account that trials share speakers: speakers are resampled, not trials.

A resample of the speakers gives each trial a weight. A subset of the trials is sorted by score once; in each
resample, running sums of the weights give its miss and false-alarm rates at every threshold.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from laspa.errors import LaspaError

Name = TypeVar("Name", bound=Hashable)
Sides = tuple[np.ndarray, np.ndarray]  # speaker numbers of the enrolment and test sides, (trials,) each

CONFIDENCE = 0.95


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The range of the middle 95 % of the resamples; NaNs are left out.

    Raises:
        LaspaError: nothing but NaN.
    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        raise LaspaError("interval: no resample of the speakers holds targets and non-targets; draw more")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def resampled_rates(
    scores: np.ndarray,
    target: np.ndarray,
    speakers: Sides,
    subsets: Mapping[Name, np.ndarray],
    resamples: int,
    seed: int,
    priors: Mapping[str, float] | None = None,
) -> dict[Name, dict[str, np.ndarray]]:
    """The EER, and minDCF where priors are given, of each subset over speakers drawn with replacement.

    A speaker drawn twice counts twice: a target trial with its speaker's multiplicity, a non-target trial
    with the product of both speakers' (Poh and Bengio, 2007). The draws depend on the seed and the list's
    speakers alone, so that two systems are resampled alike.

    Args:
        scores: (trials,).
        target: (trials,) boolean.
        subsets: (trials,) boolean each.
        priors: target priors of minDCF, by the name of the rate.

    Returns:
        (resamples,) for each subset and rate; NaN where a resample of it has no target or no non-target.
    """
    numbers, pairs = pd.factorize(np.concatenate(speakers), sort=True)[::-1]
    one, other = pairs.reshape(2, -1)
    by_score = np.argsort(scores)
    # In a target trial the number after the last stands for the second speaker: it always counts once.
    one, other = one[by_score], np.where(target, len(numbers), other)[by_score]
    curves = {
        name: _curve(scores[by_score], target[by_score], mask[by_score]) for name, mask in subsets.items()
    }
    rates = ("eer", *(priors or {}))
    drawn = {name: {rate: np.full(resamples, np.nan) for rate in rates} for name in subsets}
    for number, count in enumerate(_draws(len(numbers), resamples, seed)):
        weight = count[one] * count[other]
        for name, curve in curves.items():
            missed, rejected = (np.append(0, np.cumsum(weight[rows])) for rows in curve[:2])
            if missed[-1] and rejected[-1]:
                drawn[name]["eer"][number] = _eer(curve, missed, rejected)
                for rate, prior in (priors or {}).items():
                    drawn[name][rate][number] = _min_dcf(curve, missed, rejected, prior)
    return drawn


def resampled_acceptance(
    accepted: np.ndarray,
    target: np.ndarray,
    speakers: Sides,
    subsets: Mapping[Name, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[Name, tuple[np.ndarray, np.ndarray]]:
    """The false acceptance and false rejection rates of decisions already made, over the speakers that
    `resampled_rates` draws.

    Args:
        accepted, target: (trials,) boolean. subsets: (trials,) boolean each.

    Returns:
        (resamples,) each, for each subset; NaN where a resample of it has no non-target, or no target.
    """
    numbers, pairs = pd.factorize(np.concatenate(speakers), sort=True)[::-1]
    one, other = pairs.reshape(2, -1)
    other = np.where(target, len(numbers), other)
    counted = np.stack(
        [
            mask & kind & wrong
            for mask in subsets.values()
            for kind, error in ((~target, accepted), (target, ~accepted))
            for wrong in (error, np.ones_like(target))
        ],
        axis=1,
    ).astype(np.float64)
    sums = np.stack(
        [(count[one] * count[other]) @ counted for count in _draws(len(numbers), resamples, seed)]
    ).reshape(resamples, len(subsets), 2, 2)
    with np.errstate(invalid="ignore"):
        rates = sums[..., 0] / sums[..., 1]
    return {name: (rates[:, row, 0], rates[:, row, 1]) for row, name in enumerate(subsets)}


def _draws(speakers: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each speaker is drawn in each resample, and a 1 behind them."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(speakers, size=speakers)
        yield np.append(np.bincount(drawn, minlength=speakers), 1)


class _Curve(NamedTuple):
    """A subset of trials by score: rows of its targets and non-targets, and how many of each lie among the
    lowest 0, 1, 2, … distinct scores, (levels + 1,)."""

    targets: np.ndarray
    nontargets: np.ndarray
    targets_below: np.ndarray
    nontargets_below: np.ndarray


def _curve(scores: np.ndarray, target: np.ndarray, mask: np.ndarray) -> _Curve:
    rows = np.flatnonzero(mask)
    last = np.flatnonzero(np.append(np.diff(scores[rows]) != 0, True)) if len(rows) else rows
    counts = np.cumsum(target[rows])[last]
    below = [np.append(0, counts), np.append(0, last + 1 - counts)]
    return _Curve(rows[target[rows]], rows[~target[rows]], *below)


def _eer(curve: _Curve, missed: np.ndarray, rejected: np.ndarray) -> float:
    """Where both rates cross, found by bisection, linear between thresholds: as `error_rates.eer`."""

    def rates(level: int) -> tuple[float, float]:
        miss = missed[curve.targets_below[level]] / missed[-1]
        return miss, miss - (1 - rejected[curve.nontargets_below[level]] / rejected[-1])

    after = bisect_left(range(len(curve.targets_below)), True, key=lambda level: rates(level)[1] >= 0)
    (miss, gap), (miss_after, gap_after) = rates(after - 1), rates(after)
    return float(miss + (miss_after - miss) * gap / (gap - gap_after))


def _min_dcf(curve: _Curve, missed: np.ndarray, rejected: np.ndarray, prior: float) -> float:
    """As `error_rates.min_dcf` with unit costs; looks only where a constant decision may be beaten."""
    constant = min(prior, 1 - prior)
    fewest = np.searchsorted(rejected, rejected[-1] * (1 - constant / (1 - prior)))
    first = np.searchsorted(curve.nontargets_below, fewest)
    miss = missed[curve.targets_below[first:]] / missed[-1]
    alarm = 1 - rejected[curve.nontargets_below[first:]] / rejected[-1]
    return float(min(((prior * miss + (1 - prior) * alarm) / constant).min(), 1.0))
