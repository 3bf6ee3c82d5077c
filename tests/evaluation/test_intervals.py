"""Intervals over speakers: weights against really repeated speakers, coverage, determinism."""

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import eer, min_dcf
from laspa.evaluation.intervals import percentile_interval, resampled_acceptance, resampled_rates


def simulated(generator, speakers: int):
    """All pairs of four utterances of each speaker on a line, some speakers steadier than others."""
    speaker = np.repeat(np.arange(speakers), 4)
    spread = np.exp(generator.normal(0, 0.7, speakers))
    vector = generator.normal(0, 2.0, speakers)[speaker] + spread[speaker] * generator.normal(
        size=len(speaker)
    )
    first, second = np.triu_indices(len(vector), k=1)
    score = -np.abs(vector[first] - vector[second])
    return score, speaker[first] == speaker[second], speaker[first], speaker[second]


def eer_interval(scores, target, enroll, test, resamples: int, seed: int) -> tuple[float, float]:
    everything = {"all": np.ones(len(scores), dtype=bool)}
    found = resampled_rates(scores, target, (enroll, test), everything, resamples, seed)
    return percentile_interval(found["all"]["eer"])


def repeated_eers(scores, target, enroll, test, resamples: int, seed: int) -> list[float]:
    """The same draws, each trial written down as often as its speakers were drawn."""
    names = np.unique(np.append(enroll, test))
    generator = np.random.default_rng(seed)
    eers = []
    for _ in range(resamples):
        drawn = list(names[generator.integers(len(names), size=len(names))])
        targets, nontargets = [], []
        for score, is_target, one, other in zip(scores, target, enroll, test, strict=True):
            times = drawn.count(one) if is_target else drawn.count(one) * drawn.count(other)
            (targets if is_target else nontargets).extend([score] * times)
        if targets and nontargets:
            eers.append(eer(np.array(targets), np.array(nontargets)))
    return eers


def test_weights_are_speakers_really_repeated():
    data = simulated(np.random.default_rng(1), 5)
    low, high = eer_interval(*data, resamples=40, seed=7)
    expected = np.quantile(repeated_eers(*data, resamples=40, seed=7), [0.025, 0.975])
    assert (low, high) == pytest.approx(tuple(expected))
    assert low < high


def test_resamples_without_a_class_are_left_out():
    # Two speakers: half of the draws hold one of them twice and so no non-target.
    data = simulated(np.random.default_rng(2), 2)
    kept = repeated_eers(*data, resamples=50, seed=1)
    assert len(kept) < 50
    assert eer_interval(*data, resamples=50, seed=1) == pytest.approx(
        tuple(np.quantile(kept, [0.025, 0.975]))
    )


def test_speaker_numbers_are_names_only():
    score, target, enroll, test = simulated(np.random.default_rng(3), 8)
    plain = eer_interval(score, target, enroll, test, 50, 1)
    assert eer_interval(score, target, 10 * enroll + 3, 10 * test + 3, 50, 1) == plain


def test_a_seed_fixes_the_interval_and_another_moves_it():
    data = simulated(np.random.default_rng(4), 10)
    assert eer_interval(*data, 100, 1) == eer_interval(*data, 100, 1)
    assert eer_interval(*data, 100, 1) != eer_interval(*data, 100, 2)


def test_a_system_without_errors_has_an_interval_of_no_width():
    _, target, enroll, test = simulated(np.random.default_rng(5), 6)
    assert eer_interval(target.astype(float), target, enroll, test, 50, 1) == (0.0, 0.0)


def test_intervals_cover_the_true_eer_where_resampled_trials_do_not():
    generator = np.random.default_rng(6)
    truth = np.mean([eer(s[t], s[~t]) for s, t, *_ in (simulated(generator, 100) for _ in range(10))])
    draws, resamples = 60, 50
    covered, covered_by_trials = 0, 0
    for seed in range(draws):
        score, target, enroll, test = simulated(generator, 16)
        low, high = eer_interval(score, target, enroll, test, resamples, seed)
        covered += low <= truth <= high
        classes = score[target], score[~target]
        drawn = [eer(*(generator.choice(side, len(side)) for side in classes)) for _ in range(resamples)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered_by_trials += low <= truth <= high
    # 95 % is meant; three standard errors of a share of 60 draws are 8 points.
    assert covered / draws >= 0.87
    assert covered_by_trials / draws < 0.8


def naive_subset_eers(data, inside, resamples: int, seed: int) -> list[float]:
    """The same draws of all speakers, trials of the subset written down as often as theirs were drawn."""
    score, target, enroll, test = data
    names = np.unique(np.append(enroll, test))
    generator = np.random.default_rng(seed)
    eers = []
    for _ in range(resamples):
        drawn = list(names[generator.integers(len(names), size=len(names))])
        classes: dict[bool, list[float]] = {True: [], False: []}
        for row in np.flatnonzero(inside):
            times = drawn.count(enroll[row]) * (1 if target[row] else drawn.count(test[row]))
            classes[bool(target[row])].extend([score[row]] * times)
        full = classes[True] and classes[False]
        eers.append(eer(np.array(classes[True]), np.array(classes[False])) if full else np.nan)
    return eers


@pytest.mark.parametrize("decimals", [0, 6])
def test_costs_are_those_of_trials_written_down_as_often_as_drawn(decimals):
    score, target, enroll, test = simulated(np.random.default_rng(12), 5)
    score = score.round(decimals)
    subsets = {
        "all": np.ones(len(score), dtype=bool),
        "half": np.random.default_rng(13).random(len(score)) < 0.5,
    }
    priors = {"low": 0.05, "even": 0.5}
    found = resampled_rates(score, target, (enroll, test), subsets, 15, 3, priors)
    names = np.unique(np.append(enroll, test))
    for name, inside in subsets.items():
        generator = np.random.default_rng(3)
        costs = []
        for _ in range(15):
            drawn = list(names[generator.integers(len(names), size=len(names))])
            times = np.array([drawn.count(speaker) for speaker in names])
            times = times[enroll] * np.where(target, 1, times[test]) * inside
            classes = [np.repeat(score[kind], times[kind]) for kind in (target, ~target)]
            if all(map(len, classes)):
                costs.append([min_dcf(*classes, prior) for prior in (0.05, 0.5)])
        expected = [np.quantile(column, [0.025, 0.975]) for column in np.array(costs).T]
        intervals = [percentile_interval(found[name][rate]) for rate in priors]
        np.testing.assert_allclose(intervals, expected)


@pytest.mark.parametrize("decimals", [0, 6])
def test_subsets_that_overlap_are_measured_at_once(decimals):
    """Many subsets, ties within and across them, one without a class."""
    score, *rest = simulated(np.random.default_rng(9), 5)
    data = (score.round(decimals), *rest)
    generator = np.random.default_rng(10)
    subsets = {number: generator.random(len(score)) < 0.5 for number in range(40)}
    subsets |= {"all": np.ones(len(score), dtype=bool), "targets": rest[0]}
    found = resampled_rates(data[0], data[1], data[2:], subsets, resamples=12, seed=3)
    assert list(found) == list(subsets)
    for name, inside in subsets.items():
        np.testing.assert_allclose(
            found[name]["eer"], naive_subset_eers(data, inside, 12, 3), err_msg=str(name)
        )
    assert np.isnan(found["targets"]["eer"]).all()
    assert not np.isnan(found["all"]["eer"]).all()


def test_an_interval_of_no_resample_at_all_is_refused():
    target = np.array([True, False])
    with pytest.raises(LaspaError, match="no resample of the speakers holds targets and non-targets"):
        # Under this seed the one resample is the same speaker twice, who makes no non-target.
        eer_interval(np.array([1.0, 0.0]), target, np.array([0, 0]), np.array([0, 1]), 1, seed=0)


def test_rates_of_decisions_count_a_speaker_as_often_as_it_is_drawn():
    speakers = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 1, 2, 2])
    target = speakers[0] == speakers[1]
    accepted = np.array([True, True, False, False, False])
    found = resampled_acceptance(accepted, target, speakers, {"all": np.ones(5, dtype=bool)}, 50, 3)["all"]
    generator = np.random.default_rng(3)
    for far, frr in zip(*found, strict=True):
        a, b, c = np.bincount(generator.integers(3, size=3), minlength=3)
        alarms, others = a * b, a * b + b * c + a * c
        assert far == pytest.approx(alarms / others) if others else np.isnan(far)
        assert frr == pytest.approx(b / (a + b)) if a + b else np.isnan(frr)
