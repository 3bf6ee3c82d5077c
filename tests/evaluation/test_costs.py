"""Operating points and likelihood ratios against hand-worked numbers, Qhull and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from laspa.evaluation.error_rates import (
    act_dcf,
    cllr,
    eer,
    eer_convex_hull,
    error_rates,
    frr_at_far,
    min_cllr,
    min_dcf,
)

SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=12)


def test_act_dcf_is_worked_by_hand():
    # p = 0.01: threshold ln 99 = 4.595. One of four targets below, one of eight non-targets above.
    target, nontarget = np.array([9.0, 8.0, 5.0, 4.5]), np.array([5.0, 0, -1, -2, -3, -4, -5, -6])
    assert act_dcf(target, nontarget, 0.01) == pytest.approx((0.01 / 4 + 0.99 / 8) / 0.01)
    # p = 0.5: threshold 0; the score 0 is rejected.
    assert act_dcf(target, nontarget, 0.5) == pytest.approx(1 / 8)
    assert act_dcf(np.array([9.0]), np.array([-9.0]), 0.05) == 0.0


@given(SCORES, SCORES, st.sampled_from([0.01, 0.05, 0.5]))
def test_a_fixed_threshold_is_never_better_than_the_best(target, nontarget, p_target):
    arrays = np.array(target), np.array(nontarget)
    assert act_dcf(*arrays, p_target) >= min_dcf(*arrays, p_target) - 1e-12


def test_cllr_is_worked_by_hand():
    assert cllr(np.zeros(3), np.zeros(5)) == pytest.approx(1.0)
    # Odds of 3 for a target and 1/3 for a non-target: log2(4/3) each.
    assert cllr(np.array([math.log(3)]), np.array([-math.log(3)])) == pytest.approx(math.log2(4 / 3))
    # A certain error costs its certainty in bits, a certain truth nothing.
    assert cllr(np.array([-1000.0]), np.array([-1000.0])) == pytest.approx(500 / math.log(2))


def test_min_cllr_is_worked_by_hand():
    assert min_cllr(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0.0
    assert min_cllr(np.full(4, 0.3), np.full(9, 0.3)) == pytest.approx(1.0)
    # Targets 1 and 3, non-targets 0 and 2: the middle two pool into ratio 1, which costs one bit a trial.
    assert min_cllr(np.array([1.0, 3.0]), np.array([0.0, 2.0])) == pytest.approx(0.5)


@given(SCORES, SCORES)
def test_min_cllr_is_a_minimum_over_monotone_mappings(target, nontarget):
    arrays = np.array(target), np.array(nontarget)
    least = min_cllr(*arrays)
    assert 0 <= least <= 1 + 1e-12
    for slope, offset in ((0, 0), (1, 0), (0.3, 0.5), (2, -1)):
        assert least <= cllr(slope * arrays[0] + offset, slope * arrays[1] + offset) + 1e-12
    assert least == pytest.approx(min_cllr(np.exp(arrays[0]), np.exp(arrays[1])))


def hull_eer(target: np.ndarray, nontarget: np.ndarray) -> float:
    """Where the lower hull of (false alarm, miss) meets the diagonal, by scipy's Qhull."""
    miss, alarm = error_rates(target, nontarget)
    points = np.vstack([np.stack([alarm, miss], axis=1), [[1.0, 1.0]]])  # the corner closes the hull
    hull = ConvexHull(points)
    lowest = 0.0
    for a, b, c in hull.equations:  # a·x + b·y + c ≤ 0 inside; on the diagonal x = y
        if a + b < 0:
            lowest = max(lowest, -c / (a + b))
    return lowest


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_hulls_eer_is_that_of_qhull(decimals):
    generator = np.random.default_rng(2)
    target = generator.normal(1.5, 1, 60).round(decimals)
    nontarget = generator.normal(0, 1, 300).round(decimals)
    assert eer_convex_hull(target, nontarget) == pytest.approx(hull_eer(target, nontarget), abs=1e-9)


def test_the_hulls_eer_is_worked_by_hand():
    # From (0, 1/2) and (1/2, 0) of (false alarm, miss) the line crosses at 1/4; the plain curve at 1/2.
    target, nontarget = np.array([1.0, 3.0]), np.array([0.0, 2.0])
    assert eer_convex_hull(target, nontarget) == pytest.approx(0.25)
    assert eer(target, nontarget) == 0.5
    assert eer_convex_hull(np.full(3, 1.0), np.full(5, 1.0)) == 0.5
    assert eer_convex_hull(np.array([1.0]), np.array([0.0])) == 0.0
    # Swapped classes: a convex hull can always guess.
    assert eer_convex_hull(np.array([0.0]), np.array([1.0])) == 0.5


@given(SCORES, SCORES)
def test_the_hull_lies_below_the_curve(target, nontarget):
    arrays = np.array(target), np.array(nontarget)
    assert eer_convex_hull(*arrays) <= min(eer(*arrays), 0.5) + 1e-12


def test_frr_at_far_counts_whole_trials():
    nontarget = np.arange(100.0)
    target = np.array([50.0, 97.5, 98.5, 99.5])
    assert frr_at_far(target, nontarget, 0.01) == 0.5  # threshold 98 accepts one of a hundred
    assert frr_at_far(target, nontarget, 0.02) == 0.25
    assert frr_at_far(target, nontarget, 0.001) == 0.75  # no non-target may pass
    assert frr_at_far(target, nontarget, 1.0) == 0.0


@given(SCORES, SCORES, st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5]))
def test_frr_at_far_equals_a_plain_loop(target, nontarget, far):
    best = 1.0
    for threshold in [-math.inf, *target, *nontarget]:
        if sum(score > threshold for score in nontarget) <= far * len(nontarget) + 1e-6:
            best = min(best, sum(score <= threshold for score in target) / len(target))
    assert frr_at_far(np.array(target), np.array(nontarget), far) == pytest.approx(best)
