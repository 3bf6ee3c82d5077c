"""Pair norm: by hand, against a loop over trials, and what it refuses."""

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.pair_norm import background, pair_norm


def test_by_hand() -> None:
    # e = (1, 0) speaks zh, t = (0.6, 0.8) speaks en; twice as long, which must not matter.
    embeddings = np.array([[2.0, 0.0], [1.2, 1.6]])
    # zh: (1, 0) and (0, 1), mean (½, ½). en: (0, 1) twice from one speaker and (0, −1): mean (0, 0).
    others = background(
        np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 2.0], [0.0, -1.0]]),
        np.array(["zh", "zh", "en", "en", "en"]),
        np.array(["a", "b", "c", "c", "d"]),
    )
    found = pair_norm(
        embeddings,
        np.array(["zh", "en"]),
        np.array(["x", "y"]),
        np.array([0]),
        np.array([1]),
        others,
        least=2,
    )
    # 0.6 − ½(e·(0, 0) + t·(½, ½)) = 0.6 − ½·0.7
    np.testing.assert_allclose(found, [0.25], atol=1e-6)


def test_the_speakers_of_a_trial_are_left_out_of_its_means() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(48, 5))
    speakers = np.array([f"s{number % 8}" for number in range(48)])
    languages = np.array(["en" if number // 8 % 2 else "zh" for number in range(48)])
    enroll, test = (side.ravel() for side in np.indices((48, 48)))
    found = pair_norm(vectors, languages, speakers, enroll, test, background(vectors, languages, speakers))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def mean(language: str, *left_out: str) -> np.ndarray:
        kept = [name for name in np.unique(speakers) if name not in left_out]
        return np.mean(
            [unit[(speakers == one) & (languages == language)].mean(axis=0) for one in kept], axis=0
        )

    for trial in range(0, len(enroll), 37):
        e, t = enroll[trial], test[trial]
        pair = speakers[e], speakers[t]
        one, other = unit[e] @ mean(languages[t], *pair), unit[t] @ mean(languages[e], *pair)
        assert found[trial] == pytest.approx(unit[e] @ unit[t] - (one + other) / 2, abs=1e-6)


def test_a_shift_of_a_language_is_taken_away() -> None:
    """Speakers at right angles to each other and to the languages: with pair norm a target across languages
    scores more than any non-target within one, without it less."""
    voices, shifts = np.eye(9)[:7], 1.5 * np.eye(9)[7:]
    vectors = np.concatenate([voices + shifts[0], voices + shifts[1]])
    speakers, languages = np.array([*"abcdefg"] * 2), np.repeat(["en", "zh"], 7)
    enroll, test = np.array([0, 0]), np.array([7, 1])  # a target across, a non-target within
    others = background(vectors, languages, speakers)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[7] < unit[0] @ unit[1]
    target, nontarget = pair_norm(vectors, languages, speakers, enroll, test, others)
    assert target > nontarget


def test_too_few_speakers_are_named_with_their_language() -> None:
    vectors, speakers = np.eye(6), np.array([*"abcdef"])
    languages = np.array(["en"] * 5 + ["zh"])
    others = background(vectors, languages, speakers)
    within = pair_norm(vectors, languages, np.array([*"uvwxyz"]), np.array([0]), np.array([1]), others)
    assert within.shape == (1,)
    with pytest.raises(LaspaError, match=r"besides those of a trial in zh \(1\).*needs 4"):
        pair_norm(vectors, languages, np.array([*"uvwxyz"]), np.array([0]), np.array([5]), others)
    with pytest.raises(LaspaError, match=r"in en \(3\)"):  # two of the five are those of the trial
        pair_norm(vectors, languages, speakers, np.array([0]), np.array([1]), others)


def test_a_language_without_background() -> None:
    others = background(np.eye(5), np.array(["en"] * 5), np.array([*"abcde"]))
    with pytest.raises(LaspaError, match=r"uk \(0\)"):
        pair_norm(
            np.eye(5)[:2], np.array(["en", "uk"]), np.array(["x", "y"]), np.array([0]), np.array([1]), others
        )


def test_nan_is_refused() -> None:
    with pytest.raises(LaspaError, match="1 of 2 embeddings hold NaN"):
        background(np.array([[1.0, 0.0], [np.nan, 0.0]]), np.array(["en", "en"]), np.array(["a", "b"]))
