"""Cross-validation never learns of a speaker that it scores, and declines where nothing is gained."""

from dataclasses import replace

import numpy as np
import pytest

from laspa.backend import choice, cross_validation
from laspa.backend.fitting import fit_backend, learnable
from laspa.backend.parts import Speech, fit
from laspa.errors import LaspaError
from tests.backend.made_up import people

QUICK = ("pair", "means", "side")  # parts


def test_no_speaker_is_scored_by_what_was_learnt_of_him(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold is made of speakers; what is learnt, and chosen, is of none of the two of a trial."""
    speech = people(speakers=6, takes=2)
    scored: list[tuple[set[str], set[str]]] = []
    plain_fit, plain_scores = cross_validation.fit, cross_validation.score_matrix

    def watched_fit(given: Speech, *arguments: object, **options: object) -> object:
        return remember(plain_fit(given, *arguments, **options), set(given.speakers.tolist()))

    def remember(fitted: object, whom: set[str]) -> object:
        known[id(fitted)] = whom, fitted
        return fitted

    def whose(vectors: np.ndarray) -> set[str]:
        return {speakers_of[vector.tobytes()] for vector in vectors}

    def watched_scores(fitted: object, one: tuple, other: tuple) -> np.ndarray:
        if len(one[0]) < len(speech.vectors):  # not the plain cosines
            scored.append((known[id(fitted)][0], whose(one[0]) | whose(other[0])))
        return plain_scores(fitted, one, other)

    known: dict[int, tuple] = {}
    speakers_of = {
        vector.tobytes(): name for vector, name in zip(speech.vectors, speech.speakers.tolist(), strict=True)
    }
    for module in (choice, cross_validation):
        monkeypatch.setattr(module, "fit", watched_fit)
        monkeypatch.setattr(module, "score_matrix", watched_scores)
    monkeypatch.setattr(
        choice, "replace", lambda fitted, **what: remember(replace(fitted, **what), known[id(fitted)][0])
    )
    wanted = [("pair",), ("whiten", "side"), ("plda",)]
    found = cross_validation.cross_validate(speech, wanted, seed=1)
    assert len(scored) > 100
    assert not any(of & whom for of, whom in scored)
    assert len(found.enroll) == len(speech.vectors) * (len(speech.vectors) - 1) // 2  # every pair once
    assert (found.enroll != found.test).all()


def test_changing_a_speaker_changes_nothing_that_he_is_scored_with() -> None:
    """The other way to see it: scores between two speakers do not depend on labels of their own."""
    speech = people(speakers=6, takes=2)
    first = cross_validation.cross_validate(speech, [("pair",)], seed=1)
    moved = speech.vectors.copy()
    mine = speech.speakers == "s0-00"
    moved[mine] *= 3  # of no effect on any cosine: vectors are of unit length everywhere
    again = cross_validation.cross_validate(speech._replace(vectors=moved), [("pair",)], seed=1)
    np.testing.assert_allclose(first.after, again.after, atol=1e-9)


def test_it_pays_where_languages_shift_the_embedding() -> None:
    said: list[str] = []
    speech = people(speakers=10)
    backend, verdict = fit_backend(
        speech, [str(row) for row in range(len(speech.vectors))], "abc", QUICK, resamples=200, say=said.append
    )
    assert verdict.pays, verdict.reason
    assert backend.fitted.parts
    assert backend.reason == ""
    assert verdict.compared["all"].second < 0.5 * verdict.compared["all"].first
    assert said[0] == "10 speakers: 10 of en, 10 of zh; 10 of more than one language"
    assert set(verdict.alarms) == {"en", "zh"}


def test_it_declines_where_they_do_not() -> None:
    speech = people(speakers=8, shift=0.0, takes=2)
    backend, verdict = fit_backend(
        speech, [str(row) for row in range(len(speech.vectors))], "abc", QUICK, resamples=200
    )
    assert not verdict.pays
    assert backend.fitted.parts == ()
    assert backend.reason == verdict.reason
    assert "does not lie below zero" in verdict.reason or "no part lowers" in verdict.reason


def test_bad_speech() -> None:
    names = [str(row) for row in range(200)]
    with pytest.raises(LaspaError, match=r"backend: 1 speaker\(s\)"):
        fit_backend(people(speakers=1), names, "")
    with pytest.raises(LaspaError, match="0 of them with two utterances"):
        fit_backend(people(takes=1, languages=("en",)), names, "")
    speech = people()
    speech.vectors[3, 2] = np.nan
    with pytest.raises(LaspaError, match=r"1 vector\(s\) hold NaN or infinity, 3 among them"):
        fit_backend(speech, names, "")
    with pytest.raises(LaspaError, match="no part lda; there are means"):
        fit_backend(people(), names, "", parts=("lda",))


def test_what_can_still_be_learnt_of_one_language_is_said() -> None:
    said = "\n".join(learnable(people(languages=("en",))))
    assert "8 speakers: 8 of en; 0 of more than one language" in said
    assert "each language's mean taken away: cannot be learnt (one language only)" in said
    assert "pair norm: can be learnt" in said
    assert fit(people(languages=("en",)), ("pair",)).languages == ["en"]
