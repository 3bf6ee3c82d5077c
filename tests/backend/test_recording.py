"""Other microphones are noticed by the scores' own statistics, and the same one is not."""

import numpy as np

from laspa.backend.parts import fit, one_hot
from laspa.backend.recording import recorded_otherwise
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
