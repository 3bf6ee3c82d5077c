"""Confidence intervals that know trials share speakers: resampling speakers, not trials.

A resample of the speakers gives every trial a weight. Trials that belong to the same conditions form
a cell, sorted by score once; a resample then costs one running sum over all trials, and the EER of
each condition is found in the sums of its cells by bisection.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from laspa.errors import LaspaError

Name = TypeVar("Name", bound=Hashable)

CONFIDENCE = 0.95
BLOCK = 1 << 20  # running sums held at a time, to bound memory
MASKS_A_NUMBER = 32  # bits of a cell's code that are filled before it is made short again


def eer_interval(
    scores: np.ndarray, target: np.ndarray, enroll: np.ndarray, test: np.ndarray, resamples: int, seed: int
) -> tuple[float, float]:
    """`eer_intervals` of all trials together."""
    everything = {"all": np.ones(len(scores), dtype=bool)}
    return eer_intervals(scores, target, enroll, test, everything, resamples, seed)["all"]


def eer_intervals(
    scores: np.ndarray,
    target: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    subsets: Mapping[Name, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[Name, tuple[float, float]]:
    """95 % percentile interval of the EER of each subset of the trials; arguments: `resampled_eers`.

    Resamples in which a subset has no target or no non-target are left out.
    """
    eers = resampled_eers(scores, target, enroll, test, subsets, resamples, seed)
    return {name: percentile_interval(drawn[~np.isnan(drawn)]) for name, drawn in eers.items()}


def percentile_interval(drawn: np.ndarray) -> tuple[float, float]:
    """What the middle 95 % of the resamples span.

    Raises:
        LaspaError: there are none.
    """
    if not len(drawn):
        raise LaspaError("interval: no resample of the speakers holds targets and non-targets; draw more")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def resampled_eers(
    scores: np.ndarray,
    target: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    subsets: Mapping[Name, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[Name, np.ndarray]:
    """EERs over speakers drawn with replacement, of several subsets of the trials at once.

    A speaker drawn twice counts twice: a target trial with its speaker's multiplicity, a
    non-target trial with the product of both speakers' (Poh and Bengio, 2007). The draws follow
    from the seed and the list's speakers alone, so that two systems are resampled alike.

    Args:
        scores: (trials,).
        target: (trials,) boolean.
        enroll, test: (trials,) speaker numbers.
        subsets: (trials,) boolean each.

    Returns:
        (resamples,) for each subset; NaN where it has no target or no non-target.
    """
    one, other, speakers = _speakers(target, enroll, test)
    by_score = np.argsort(scores)
    new_level = np.diff(scores[by_score], prepend=np.nan) != 0
    level, levels = np.cumsum(new_level) - 1, int(new_level.sum())
    cell = _cells(target, subsets)
    by_cell = np.argsort(cell[by_score], kind="stable")
    order, level = by_score[by_cell], level[by_cell]
    one, other = one[order], other[order]
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    cells = _Cells(level, np.append(starts, len(scores)))
    members = {name: _members(order[starts], target, mask) for name, mask in subsets.items()}

    draws = _draws(speakers, resamples, seed)
    rows = max(1, min(resamples, BLOCK // len(scores)))
    sums = np.zeros((rows, len(scores) + 1), dtype=np.int64)
    eers = {name: np.empty(resamples) for name in subsets}
    for start in range(0, resamples, rows):
        drawn = sums[: resamples - start]
        for row, count in zip(drawn, draws, strict=False):
            np.cumsum(count[one] * count[other], out=row[1:])
        for name, (targets, nontargets) in members.items():
            eers[name][start : start + rows] = cells.eers(drawn, targets, nontargets, levels)
    return eers


def min_dcf_intervals(
    scores: np.ndarray,
    target: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    subsets: Mapping[Name, np.ndarray],
    priors: Sequence[float],
    resamples: int,
    seed: int,
) -> dict[Name, list[tuple[float, float]]]:
    """95 % percentile intervals of minDCF, one a prior; arguments and draws: `resampled_eers`.

    Resamples in which a subset has no target or no non-target are left out.
    """
    one, other, speakers = _speakers(target, enroll, test)
    by_score = np.argsort(scores)
    curves = {name: _curve(scores, target, by_score[mask[by_score]]) for name, mask in subsets.items()}
    costs = {name: np.full((resamples, len(priors)), np.nan) for name in subsets}
    for number, count in enumerate(_draws(speakers, resamples, seed)):
        weight = count[one] * count[other]
        for name, (targets, nontargets, missed) in curves.items():
            below = np.cumsum(np.append(0, weight[targets]))
            rejected = np.cumsum(weight[nontargets])
            if below[-1] and rejected[-1]:
                miss, alarm = below[missed] / below[-1], 1 - rejected / rejected[-1]
                for place, prior in enumerate(priors):
                    cost = (prior * miss + (1 - prior) * alarm).min() / min(prior, 1 - prior)
                    costs[name][number, place] = min(cost, 1.0)  # of the better constant decision
    return {
        name: [percentile_interval(column[~np.isnan(column)]) for column in drawn.T]
        for name, drawn in costs.items()
    }


def _curve(
    scores: np.ndarray, target: np.ndarray, ascending: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of targets and non-targets by score, and how many targets each non-target's score rejects."""
    targets, nontargets = ascending[target[ascending]], ascending[~target[ascending]]
    return targets, nontargets, np.searchsorted(scores[targets], scores[nontargets], side="right")


def _speakers(target: np.ndarray, enroll: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Both speakers of each trial, numbered without gaps, and how many speakers there are.

    In target trials the number after the last stands for the second: it always counts once.
    """
    pairs, numbers = pd.factorize(np.concatenate([enroll, test]), sort=True)
    one, other = pairs.reshape(2, -1)
    return one, np.where(target, len(numbers), other), len(numbers)


def _draws(speakers: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each speaker is drawn, and 1 in the last place (see `_speakers`), for each resample."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(speakers, size=speakers)
        yield np.append(np.bincount(drawn, minlength=speakers), 1)


def _cells(target: np.ndarray, subsets: Mapping[Name, np.ndarray]) -> np.ndarray:
    """A number for each trial; those with the same class in the same subsets share it."""
    code = target.astype(np.int64)
    for done, mask in enumerate(subsets.values(), start=1):
        code = 2 * code + mask
        if done % MASKS_A_NUMBER == 0:
            code = pd.factorize(code)[0]
    return np.asarray(pd.factorize(code)[0])


def _members(first_trials: np.ndarray, target: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The target and the non-target cells of a subset, told by a trial of each cell."""
    inside, is_target = mask[first_trials], target[first_trials]
    return np.flatnonzero(inside & is_target), np.flatnonzero(inside & ~is_target)


class _Cells:
    """Trials by cell and score; `level`: their scores' ranks, equal ones equal; `bounds`: of the cells."""

    def __init__(self, level: np.ndarray, bounds: np.ndarray) -> None:
        self.level, self.bounds = level, bounds

    def eers(self, sums: np.ndarray, targets: np.ndarray, nontargets: np.ndarray, levels: int) -> np.ndarray:
        """EER in each row of running sums of weights `(rows, trials + 1)`, as `metrics.eer` has it."""
        everything = np.full(len(sums), levels)
        all_targets = self._below(sums, targets, everything)
        all_nontargets = self._below(sums, nontargets, everything)
        with np.errstate(invalid="ignore"):

            def rates(rejected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                miss = self._below(sums, targets, rejected) / all_targets
                return miss, 1 - self._below(sums, nontargets, rejected) / all_nontargets

            # Misses are fewer than alarms with `low` levels rejected and no fewer with `high`.
            low, high = np.zeros(len(sums), dtype=np.int64), everything
            while (high - low).max() > 1:
                middle = (low + high) // 2
                miss, alarm = rates(middle)
                crossed = (miss >= alarm) & (middle > low)
                low, high = np.where(crossed, low, middle), np.where(crossed, middle, high)
            miss, alarm = rates(low)
            miss_after, alarm_after = rates(high)
            gap, gap_after = miss - alarm, miss_after - alarm_after
            return np.asarray(miss + (miss_after - miss) * gap / (gap - gap_after))

    def _below(self, sums: np.ndarray, cells: np.ndarray, rejected: np.ndarray) -> np.ndarray:
        """Weight of the cells' trials among the `rejected` lowest levels, (rows,)."""
        rows, total = np.arange(len(sums)), np.zeros(len(sums), dtype=np.int64)
        for cell in cells:
            start, end = self.bounds[cell], self.bounds[cell + 1]
            position = start + np.searchsorted(self.level[start:end], rejected)
            total += sums[rows, position] - sums[:, start]
        return total
