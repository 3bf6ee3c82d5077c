"""The language probe finds a planted direction, finds none where none is, and never meets a speaker twice."""

import numpy as np
import pytest

from laspa import probe
from laspa.probe import language_probe

LANGUAGES = np.array(["de", "en", "hi"])


def planted(strength: float, speakers: int = 40, utterances: int = 6, dimension: int = 16):
    """Speaker centres with noise, and an offset of the language of the given strength."""
    generator = np.random.default_rng(8)
    speaker = np.repeat(np.arange(speakers), utterances)
    language = np.tile(np.arange(len(speaker) // speakers) % 3, speakers)
    vectors = generator.normal(size=(speakers, dimension))[speaker]
    vectors += 0.3 * generator.normal(size=vectors.shape)
    vectors += strength * generator.normal(size=(3, dimension))[language]
    return vectors, LANGUAGES[language], speaker.astype(str)


def test_a_planted_language_is_found():
    accuracy, chance = language_probe(*planted(3.0), seed=1)
    assert accuracy > 0.97
    assert chance == pytest.approx(1 / 3)


def test_without_a_language_the_probe_is_near_chance():
    accuracy, chance = language_probe(*planted(0.0), seed=1)
    # 240 utterances: a standard error of 3 points.
    assert abs(accuracy - chance) < 0.1


def test_chance_is_the_share_of_the_commonest_language():
    vectors, language, speaker = planted(0.0)
    language[: 6 * 20] = "de"
    assert language_probe(vectors, language, speaker, 1)[1] == pytest.approx((120 + 40) / 240)


def test_a_speaker_is_trained_on_or_tested_on_never_both(monkeypatch):
    vectors, language, speaker = planted(1.0, speakers=9)
    vectors = np.hstack([vectors, np.zeros((len(vectors), 1))])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    owner = {row.tobytes(): name for row, name in zip(vectors * np.sqrt(17), speaker, strict=True)}
    met = []

    class Spy(probe.LogisticRegression):
        def fit(self, x, y):
            met.append({self.who(row) for row in x})
            return super().fit(x, y)

        def predict(self, x):
            met.append({self.who(row) for row in x})
            return super().predict(x)

        def who(self, row):
            return min(owner.items(), key=lambda item: np.abs(np.frombuffer(item[0]) - row).sum())[1]

    monkeypatch.setattr(probe, "LogisticRegression", Spy)
    language_probe(vectors, language, speaker, 1)
    trained, tested, trained_too, tested_too = met
    everyone = set(speaker)
    assert trained | tested == trained_too | tested_too == tested | tested_too == everyone
    assert not trained & tested
    assert not trained_too & tested_too


def test_a_speakers_own_voice_is_not_taken_for_a_language():
    """One language a speaker: with shared speakers a probe would be perfect, with disjoint it guesses."""
    generator = np.random.default_rng(4)
    speaker = np.repeat(np.arange(40), 6)
    language = LANGUAGES[speaker % 2]
    vectors = generator.normal(size=(40, 60))[speaker] + 0.01 * generator.normal(size=(240, 60))
    accuracy, chance = language_probe(vectors, language, speaker.astype(str), 1)
    assert chance == 0.5
    assert accuracy < 0.75


def test_one_language_or_one_speaker_has_no_probe():
    vectors, language, speaker = planted(1.0)
    assert language_probe(vectors, np.full(len(language), "en"), speaker, 1) == (None, None)
    assert language_probe(vectors, language, np.full(len(language), "a"), 1) == (None, None)


def test_a_seed_fixes_the_probe():
    data = planted(0.6)
    assert language_probe(*data, seed=2) == language_probe(*data, seed=2)
