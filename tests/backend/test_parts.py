"""The parts of a backend: by hand, against pair norm and AS-norm as the evaluation has them, and refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from laspa.backend.covariances import SHRINKAGE, hard_plda, plda_weights, whitening
from laspa.backend.parts import (
    PARTS,
    Speech,
    fit,
    posteriors,
    score_matrix,
    transform,
    trial_scores,
    unavailable,
)
from laspa.errors import LaspaError
from laspa.evaluation.pair_norm import background, pair_norm
from tests.backend.made_up import people

LEARNT, SCORED = people(), people(seed=1, speakers=5)
ENROLL, TEST = np.triu_indices(len(SCORED.vectors), k=1)


def test_means_by_hand() -> None:
    # Two speakers a language: zh (1, 0) and (0, 1), mean (½, ½); en (0, 1) and (0, −1), mean (0, 0).
    speech = Speech(
        np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0], [0.0, -1.0]]),
        np.array(["zh", "zh", "en", "en"]),
        np.array([*"abcd"]),
    )
    fitted = fit(speech, ("means",), least=2)
    np.testing.assert_allclose(fitted.means, [[0, 0], [0.5, 0.5]])
    given = np.array([[1.0, 0.0], [1.0, 0.0]])
    moved = transform(fitted, given, posteriors(fitted, given, np.array(["zh", "en"])))
    np.testing.assert_allclose(moved, [[np.sqrt(0.5), -np.sqrt(0.5)], [1, 0]])


def test_nuisance_directions_by_hand() -> None:
    """Both speakers move along the third axis when they change language; it is what is taken away."""
    vectors = np.array([[1, 0, 0.5], [1, 0, -0.5], [0, 1, 0.5], [0, 1, -0.5]])
    fitted = fit(Speech(vectors, np.array(["en", "zh"] * 2), np.array([*"aabb"])), ("nuisance",))
    np.testing.assert_allclose(np.abs(fitted.directions), [[0, 0, 1]], atol=1e-12)
    moved = transform(fitted, vectors, np.zeros((4, 2)))
    np.testing.assert_allclose(moved, [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], atol=1e-12)


def test_whitening_makes_the_covariance_within_speakers_nearer_to_the_identity() -> None:
    def spread(vectors: np.ndarray) -> float:
        residual = np.concatenate(
            [
                vectors[LEARNT.speakers == one] - vectors[LEARNT.speakers == one].mean(axis=0)
                for one in np.unique(LEARNT.speakers)
            ]
        )
        values = np.linalg.eigvalsh(residual.T @ residual)
        return float(values.max() / values.min())

    unit = LEARNT.vectors / np.linalg.norm(LEARNT.vectors, axis=1, keepdims=True)
    assert spread(unit @ fit(LEARNT, ("whiten",)).whitening) < 0.5 * spread(unit)


def test_pair_norm_is_that_of_the_evaluation() -> None:
    fitted = fit(LEARNT, ("pair",))
    found = trial_scores(fitted, SCORED.vectors, posteriors(fitted, *SCORED[:2]), ENROLL, TEST)
    expected = pair_norm(*SCORED, ENROLL, TEST, background(*LEARNT))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_plda_is_the_ratio_of_two_gaussians() -> None:
    """Independent reference: both densities written out, for one speaker and for two."""
    variances = np.array([0.5, 2.0])
    a, b = plda_weights(variances)
    np.testing.assert_allclose(a, [0.25, 0.4])  # ½ / 2 and 2 / 5
    np.testing.assert_allclose(b, [0.25 / (1.5 * 2), 4 / (3 * 5)])
    total, between = np.diag(1 + variances), np.diag(variances)
    one = multivariate_normal(np.zeros(4), np.block([[total, between], [between, total]]))
    two = multivariate_normal(np.zeros(4), np.block([[total, 0 * between], [0 * between, total]]))
    pairs = np.random.default_rng(0).normal(size=(5, 4))
    expected = one.logpdf(pairs) - two.logpdf(pairs)
    x, y = pairs[:, :2], pairs[:, 2:]
    found = (a * x * y).sum(axis=1) - ((x**2 + y**2) @ b) / 2
    np.testing.assert_allclose(np.diff(found), np.diff(expected))  # up to a constant


def test_hard_plda_makes_the_covariances_of_hard_pairs_diagonal() -> None:
    """Independent reference: the covariances summed pair by pair, over the half that is hardest."""
    generator = np.random.default_rng(0)
    who, languages = np.repeat(np.arange(20), 4), np.tile(["en", "zh"], 40)
    vectors = 0.3 * generator.normal(size=(80, 3)) + generator.normal(size=(20, 3))[who]
    targets, impostors = [], []
    for i in range(80):
        for j in range(i + 1, 80):
            difference = vectors[i] - vectors[j]
            pair = vectors[i] @ vectors[j], np.outer(difference, difference) / 2
            if who[i] == who[j] and languages[i] != languages[j]:
                targets.append(pair)
            elif who[i] != who[j] and languages[i] == languages[j]:
                impostors.append(pair)

    def shrunk(pairs: list[tuple[float, np.ndarray]]) -> np.ndarray:
        mean = np.mean([one for _, one in pairs[: len(pairs) // 2]], axis=0)
        return (1 - SHRINKAGE) * mean + SHRINKAGE * np.trace(mean) / 3 * np.eye(3)

    within = shrunk(sorted(targets, key=lambda pair: pair[0]))
    both = shrunk(sorted(impostors, key=lambda pair: -pair[0]))
    axes, variances = hard_plda(vectors, languages, who.astype(str))
    np.testing.assert_allclose(axes.T @ within @ axes, np.eye(3), atol=1e-9)
    found = axes.T @ both @ axes
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-9)
    np.testing.assert_allclose(variances, np.maximum(np.diag(found) - 1, 0), atol=1e-9)


def test_whitening_lets_the_axis_of_the_language_count_less() -> None:
    generator = np.random.default_rng(1)
    who = np.repeat(np.arange(12), 6)
    vectors = 0.1 * generator.normal(size=(72, 3))
    vectors[:, 0] += generator.normal(size=12)[who]  # speakers
    vectors[:, 1] += np.tile([0.5, -0.5], 36)  # languages, alike for all
    white = whitening(vectors, who.astype(str))
    assert white[0, 0] > white[1, 1]


def test_side_information_is_added_where_both_sides_are_of_one_language() -> None:
    plain = fit(LEARNT, ())
    fitted = replace(plain, parts=("side",), side=np.array([-0.2]))
    one = SCORED.vectors[:2], np.array([[1.0, 0.0], [0.6, 0.4]])  # en surely, and en by 0.6
    change = score_matrix(fitted, one, one) - score_matrix(plain, one, one)
    np.testing.assert_allclose(change, [[-0.2, -0.12], [-0.12, -0.2 * 0.52]])


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ("pair",),
        ("means", "whiten", "pair"),
        ("nuisance", "pair"),
        ("plda",),
        ("nuisance", "plda", "side"),
    ],
)
def test_scores_of_trials_are_those_of_the_matrix(parts: tuple[str, ...]) -> None:
    fitted = replace(fit(LEARNT, parts), side=np.array([0.3]))
    spoken = posteriors(fitted, *SCORED[:2])
    matrix = score_matrix(fitted, (SCORED.vectors, spoken), (SCORED.vectors, spoken))
    found = trial_scores(fitted, SCORED.vectors, spoken, ENROLL, TEST)
    np.testing.assert_allclose(found, matrix[ENROLL, TEST], rtol=1e-4, atol=1e-5)


def test_a_language_is_told_where_there_is_no_label() -> None:
    fitted = fit(LEARNT, ("pair",), classify=True)
    told = posteriors(fitted, SCORED.vectors)
    np.testing.assert_allclose(told.sum(axis=1), 1)
    assert np.mean(np.array(fitted.languages)[told.argmax(axis=1)] == SCORED.languages) > 0.9
    mixed = posteriors(fitted, SCORED.vectors[:2], np.array(["en", "uk"]))
    np.testing.assert_array_equal(mixed[0], [1, 0])
    np.testing.assert_allclose(mixed[1], told[1])
    np.testing.assert_allclose(posteriors(fit(LEARNT, ()), SCORED.vectors[:1]), 0.5)


def test_what_cannot_be_learnt_is_said() -> None:
    assert unavailable(LEARNT) == {}
    one_language = LEARNT.take(LEARNT.languages == "en")
    assert set(unavailable(one_language)) == {"means", "nuisance", "side"}
    three = LEARNT.take(np.isin(LEARNT.speakers, ["s0-00", "s0-01", "s0-02"]))
    assert unavailable(three) == dict.fromkeys(("means", "pair"), "fewer than 4 speakers of en (3), zh (3)")
    with pytest.raises(LaspaError, match=r"cannot learn pair: fewer than 4 speakers of en \(3\), zh \(3\)"):
        fit(three, ("pair",))
    assert set(PARTS) >= set(unavailable(three))
