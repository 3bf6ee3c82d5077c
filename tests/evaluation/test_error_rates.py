"""Error rates against hand-worked numbers, scikit-learn's ROC curve and a plain loop over thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import ascending, eer, error_rates, min_dcf

# Few distinct values, so that ties within and across the classes are common.
SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=12)


def naive_rates(target: list[float], nontarget: list[float]) -> list[tuple[float, float]]:
    """(miss, false alarm) at "accept all" and above every score, counted one trial at a time."""
    points = []
    for threshold in [-np.inf, *sorted({*target, *nontarget})]:
        missed = sum(1 for score in target if score <= threshold)
        accepted = sum(1 for score in nontarget if score > threshold)
        points.append((missed / len(target), accepted / len(nontarget)))
    return points


def naive_eer(target: list[float], nontarget: list[float]) -> float:
    """Walk along the curve until the misses reach the alarms, and cut the line walked last."""
    before = (0.0, 1.0)
    for miss, alarm in naive_rates(target, nontarget):
        if miss >= alarm:
            if miss == alarm:
                return miss
            gap_before, gap = before[1] - before[0], miss - alarm
            return before[0] + (miss - before[0]) * gap_before / (gap_before + gap)
        before = (miss, alarm)
    raise AssertionError("the curves did not cross")


def test_rates_are_worked_by_hand():
    miss, alarm = error_rates(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    np.testing.assert_allclose(miss, [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(alarm, [1, 0.5, 0.5, 0, 0])


def test_eer_at_a_point_of_the_curve():
    assert eer(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.5
    # Threshold 2: one of four targets missed, one of four non-targets accepted.
    assert eer(np.array([2.0, 4.0, 5.0, 6.0]), np.array([0.0, 1.0, 1.5, 3.0])) == pytest.approx(0.25)


def test_eer_between_points_is_linear():
    # From (miss 0, alarm 1/2) to (1/3, 1/2)… to (1/3, 0): the vertical step is cut at 1/3.
    assert eer(np.array([1.0, 4.0, 5.0]), np.array([0.0, 2.0])) == pytest.approx(1 / 3)
    # One tie of both classes: (0, 1/2) to (1/2, 0) in one step crosses at 1/4.
    assert eer(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == pytest.approx(0.25)


def test_a_constant_system_has_an_eer_of_one_half():
    assert eer(np.full(7, 0.3), np.full(1000, 0.3)) == 0.5
    assert min_dcf(np.full(7, 0.3), np.full(1000, 0.3), 0.01) == 1.0


def test_separated_classes_have_no_errors_and_swapped_ones_nothing_else():
    low, high = np.array([-2.0, 0.0, 0.1]), np.array([0.2, 5.0])
    assert eer(high, low) == 0.0
    assert min_dcf(high, low, 0.01) == 0.0
    assert eer(low, high) == 1.0


@pytest.mark.parametrize(("target", "nontarget", "expected"), [(1, 0, 0.0), (0, 0, 0.5), (0, 1, 1.0)])
def test_one_trial_a_class(target, nontarget, expected):
    assert eer(np.array([float(target)]), np.array([float(nontarget)])) == expected


def test_min_dcf_is_worked_by_hand():
    target, nontarget = np.array([2.0, 4.0, 5.0, 6.0]), np.array([0.0, 1.0, 1.5, 3.0])
    # p = 0.01: best without a false alarm: threshold 3, one target of four missed.
    assert min_dcf(target, nontarget, 0.01) == pytest.approx(0.25)
    # p = 0.9: best without a miss: threshold 1.5, one false alarm of four, cost 0.1/4 of 0.1.
    assert min_dcf(target, nontarget, 0.9) == pytest.approx(0.25)
    # p = 0.5 with false alarms at a tenth: the same threshold, 0.5·0.1·0.25 of 0.05.
    assert min_dcf(target, nontarget, 0.5, c_fa=0.1) == pytest.approx(0.25)
    assert min_dcf(target, np.array([0.0, 3.0]), 0.5) == pytest.approx(0.25)


@given(SCORES, SCORES)
def test_rates_and_eer_equal_a_plain_loop(target, nontarget):
    miss, alarm = error_rates(np.array(target), np.array(nontarget))
    points = np.array(naive_rates(target, nontarget))
    np.testing.assert_allclose(miss, points[:, 0], atol=1e-12)
    np.testing.assert_allclose(alarm, points[:, 1], atol=1e-12)
    assert eer(np.array(target), np.array(nontarget)) == pytest.approx(naive_eer(target, nontarget))


@given(SCORES, SCORES, st.sampled_from([0.01, 0.05, 0.5, 0.9]))
def test_min_dcf_equals_a_plain_loop(target, nontarget, p_target):
    costs = [p_target * miss + (1 - p_target) * alarm for miss, alarm in naive_rates(target, nontarget)]
    expected = min(costs) / min(p_target, 1 - p_target)
    assert min_dcf(np.array(target), np.array(nontarget), p_target) == pytest.approx(expected)


@given(SCORES, SCORES)
def test_eer_depends_on_the_order_of_the_scores_alone(target, nontarget):
    shifted = eer(np.exp(np.array(target)), np.exp(np.array(nontarget)))
    assert eer(np.array(target), np.array(nontarget)) == pytest.approx(shifted)
    swapped = eer(-np.array(nontarget), -np.array(target))
    assert eer(np.array(target), np.array(nontarget)) == pytest.approx(swapped)


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_curve_is_scikit_learns(decimals):
    generator = np.random.default_rng(3)
    target = generator.normal(1.0, 1.0, 400).round(decimals)
    nontarget = generator.normal(0.0, 1.0, 3000).round(decimals)
    miss, alarm = error_rates(target, nontarget)
    labels = np.append(np.ones(len(target)), np.zeros(len(nontarget)))
    false_alarm, hit, _ = roc_curve(labels, np.append(target, nontarget), drop_intermediate=False)
    np.testing.assert_allclose(alarm[::-1], false_alarm, atol=1e-12)
    np.testing.assert_allclose(1 - miss[::-1], hit, atol=1e-12)
    gap = (1 - hit) - false_alarm  # falls along the curve; its zero by interpolation
    expected = np.interp(0.0, -gap, 1 - hit)
    assert eer(target, nontarget) == pytest.approx(expected, abs=1e-9)


@given(SCORES, SCORES, st.sampled_from([np.float32, np.float64]))
def test_neither_order_nor_precision_matters(target, nontarget, kind):
    raw = np.array(target, dtype=kind), np.array(nontarget)
    ordered = tuple(np.sort(scores) for scores in raw)
    assert eer(*raw) == eer(*ordered)
    assert min_dcf(*raw, 0.05) == min_dcf(*ordered, 0.05)
    assert all(ascending(scores) is scores for scores in ordered)


@pytest.mark.parametrize("measure", [eer, error_rates, lambda *scores: min_dcf(*scores, 0.01)])
def test_scores_that_are_no_numbers_or_none_at_all_are_refused(measure):
    good, bad, empty = np.array([1.0, 0.0]), np.array([0.5, np.nan, 2.0]), np.array([])
    for classes in ((good, bad), (bad, good)):
        with pytest.raises(LaspaError, match="1 of 3 are NaN"):
            measure(*classes)
    for classes in ((good, empty), (empty, good)):
        with pytest.raises(LaspaError, match="a class is empty"):
            measure(*classes)
