"""Other microphones are noticed by the scores' own statistics, and the same one is not."""

import numpy as np

from laspa.backend.parts import Speech, fit, one_hot
from laspa.backend.recording import far_away, recorded_otherwise, usual_nearness
from tests.backend.made_up import DIMENSION, people

LEARNT = people()
MICROPHONE = 3 * np.random.default_rng(5).normal(size=DIMENSION)


def test_the_same_recording_is_not_suspected() -> None:
    fitted = fit(LEARNT, ("pair",))
    for seed in range(1, 6):
        trials = people(seed=seed, speakers=5)
        assert not recorded_otherwise(
            fitted, trials.vectors, one_hot(trials.languages, fitted), trials.speakers
        )


def test_a_single_recording_is_suspected_by_its_distance_from_all() -> None:
    # Three speakers of one language: the mean of the other two is 0.5 away along each axis.
    axes = np.eye(3)
    speech = Speech(axes, np.array(["en"] * 3), np.array([*"abc"]))
    assert usual_nearness(speech) == 0
    assert usual_nearness(speech.take(np.array([0]))) == -1
    fitted, usual = fit(LEARNT, ("pair",)), usual_nearness(LEARNT)
    assert far_away(fitted, usual, LEARNT.vectors).mean() < 0.02
    assert far_away(fitted, usual, people(seed=1).vectors).mean() < 0.1
    assert far_away(fitted, usual, -LEARNT.vectors).mean() > 0.5
    spoken = one_hot(LEARNT.languages, fitted)
    assert not recorded_otherwise(fitted, LEARNT.vectors, spoken, usual=usual)
    found = recorded_otherwise(fitted, -LEARNT.vectors, spoken, usual=usual)
    assert any("are further from those speakers than 1 % of their own" in one for one in found)


def test_a_background_of_which_one_language_was_recorded_otherwise() -> None:
    moved = LEARNT.vectors + np.where(LEARNT.languages == "en", 1, 0)[:, None] * MICROPHONE
    fitted = fit(LEARNT._replace(vectors=moved), ("pair",))
    trials = people(seed=1, speakers=2, shift=0.3)
    found = recorded_otherwise(fitted, trials.vectors, one_hot(trials.languages, fitted))
    assert found == ["en is nearer to the speakers of zh than to its own"]


def test_trials_of_which_all_were_recorded_otherwise() -> None:
    fitted = fit(LEARNT, ("pair",))
    trials = people(seed=1, speakers=5)
    found = recorded_otherwise(
        fitted, trials.vectors + MICROPHONE, one_hot(trials.languages, fitted), trials.speakers
    )
    assert any("speakers of en are nearer to each other" in one for one in found)
