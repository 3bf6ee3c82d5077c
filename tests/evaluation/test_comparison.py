"""The paired comparison: the single interval's draws, no difference of equals, one of a worse system."""

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.comparison import Comparison, compare_parts
from laspa.evaluation.error_rates import eer
from laspa.evaluation.intervals import percentile_interval, resampled_rates


def compare_eers(first, second, target, enroll, test, resamples: int, seed: int) -> Comparison:
    everything = {"all": np.ones(len(target), dtype=bool)}
    return compare_parts(first, second, target, (enroll, test), everything, resamples, seed)["all"]


def eer_interval(score, target, enroll, test, resamples: int, seed: int) -> tuple[float, float]:
    everything = {"all": np.ones(len(target), dtype=bool)}
    return percentile_interval(
        resampled_rates(score, target, (enroll, test), everything, resamples, seed)["all"]["eer"]
    )


def two_systems(seed: int, speakers: int = 20, worse: float = 0.0):
    """Scores of two systems on all pairs of three utterances a speaker, the second noisier."""
    generator = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(speakers), 3)
    base = generator.normal(0, 4, speakers)[speaker] + 0.5 * generator.normal(size=len(speaker))
    first, second = np.triu_indices(len(speaker), k=1)
    systems = []
    for extra in (0.0, worse):
        vector = base + generator.normal(0, 0.1 + extra, len(speaker))
        systems.append(-np.abs(vector[first] - vector[second]))
    return *systems, speaker[first] == speaker[second], speaker[first], speaker[second]


def test_a_system_does_not_differ_from_itself():
    score, _, target, enroll, test = two_systems(1)
    found = compare_eers(score, score, target, enroll, test, 100, 1)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    # Nor from itself on another scale.
    assert compare_eers(score, np.exp(score), target, enroll, test, 100, 1).high == 0


def test_against_a_perfect_system_it_is_the_single_interval():
    score, _, target, enroll, test = two_systems(2)
    found = compare_eers(target.astype(float), score, target, enroll, test, 100, 3)
    assert (found.low, found.high) == pytest.approx(eer_interval(score, target, enroll, test, 100, 3))
    assert found.second == found.difference == pytest.approx(eer(score[target], score[~target]))
    assert found.p_value == pytest.approx(2 / 101)


def test_a_clearly_worse_system_is_told_and_an_equal_one_is_not():
    worse = compare_eers(*two_systems(3, worse=2.5), resamples=200, seed=1)
    assert worse.low > 0
    assert worse.p_value < 0.05
    equal = compare_eers(*two_systems(3), resamples=200, seed=1)
    assert equal.low < 0 < equal.high
    assert equal.p_value > 0.05


def test_pairing_narrows_the_interval():
    first, second, target, enroll, test = two_systems(4)
    paired = compare_eers(first, second, target, enroll, test, 200, 1)
    widths = [np.ptp(eer_interval(score, target, enroll, test, 200, 1)) for score in (first, second)]
    assert paired.high - paired.low < 0.7 * np.hypot(*widths)


def test_swapping_the_systems_swaps_the_sign():
    first, second, *rest = two_systems(5, worse=0.5)
    one, other = compare_eers(first, second, *rest, 50, 1), compare_eers(second, first, *rest, 50, 1)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_without_both_classes_there_is_no_comparison():
    score = np.array([1.0, 0.0])
    with pytest.raises(LaspaError, match="none of 10 resamples of 1 speakers"):
        compare_eers(score, score, np.array([True, True]), np.zeros(2), np.zeros(2), 10, 1)
