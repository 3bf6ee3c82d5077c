"""Which parts are chosen, and how much side information counts."""

import numpy as np
import pytest

from laspa.backend import choice
from laspa.backend.choice import Inner, candidates, choose
from tests.backend.made_up import people


def test_every_allowed_part_is_tried_alone_and_with_side_information() -> None:
    assert candidates(["pair", "side"]) == [(), ("side",), ("pair",), ("pair", "side")]
    assert candidates([]) == [()]
    assert ("means", "whiten", "side") in candidates(["side", "whiten", "means"])


def test_the_simplest_of_equals_is_chosen() -> None:
    speech = people(speakers=6, takes=2)
    same = speech._replace(vectors=np.eye(16)[np.unique(speech.speakers, return_inverse=True)[1]])
    assert choose(same, candidates(["pair", "whiten"]), seed=1).parts == ()
    assert choose(people(speakers=3), [("pair",)], seed=1).parts == ()  # too few to leave any out


def test_side_information_makes_up_for_what_languages_cost() -> None:
    """Scores across languages are lower by 2, of targets and non-targets alike; the rest loses 2."""
    generator = np.random.default_rng(0)
    target, together = np.indices((2, 2, 4000)).reshape(3, -1)[:2]
    scores = generator.normal(size=len(target)) + 1.5 * target + 2 * together
    found = Inner(scores, target.astype(bool), together.astype(float))
    assert choice._side(found) == pytest.approx(-2, abs=0.05)
    # How often each kind of trial occurs changes nothing: targets across languages are rare here.
    rare = np.flatnonzero((target == 0) | (together == 1) | (np.arange(len(target)) % 10 == 0))
    assert choice._side(Inner(*(column[rare] for column in found))) == pytest.approx(-2, abs=0.1)
    assert choice._side(Inner(*(column[together == 1] for column in found))) == 0
