"""The language probe finds a planted direction, finds none where none is, and never meets a speaker twice."""

import numpy as np
import pytest

from laspa.evaluation import probes as probe
from laspa.evaluation.probes import language_probe, speaker_probe

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


def test_a_perceptron_finds_what_no_line_separates():
    generator = np.random.default_rng(12)
    vectors = generator.choice([-1.0, 1.0], size=(600, 2)) + 0.2 * generator.normal(size=(600, 2))
    language = np.where(vectors.prod(axis=1) > 0, "en", "hi")
    data = (vectors, language, np.repeat(np.arange(60), 10).astype(str), 1)
    assert language_probe(*data).accuracy < 0.8  # a line cuts off one corner of four at best
    assert language_probe(*data, kind="mlp").accuracy > 0.95
    assert language_probe(*data, kind="mlp") == language_probe(*data, kind="mlp")


def test_the_speaker_probe_tells_new_speakers_apart_only_where_there_are_voices():
    generator = np.random.default_rng(13)
    speaker, language = np.repeat(np.arange(40), 8), np.tile(LANGUAGES[:2].repeat(4), 40)
    voices = generator.normal(size=(40, 16))[speaker] + 0.3 * generator.normal(size=(320, 16))
    found = speaker_probe(voices, language, speaker.astype(str), 1)
    assert found.accuracy > 0.95
    assert found.chance == 0.5
    # 320 rows make some 1,900 target pairs that share utterances: a few points of error.
    silence = speaker_probe(generator.normal(size=(320, 16)), language, speaker.astype(str), 1)
    assert abs(silence.accuracy - 0.5) < 0.06


def test_the_language_does_not_give_the_speaker_away():
    """One language a speaker and nothing but the language in the vectors: pairs within it are all alike."""
    generator = np.random.default_rng(14)
    speaker = np.repeat(np.arange(40), 8)
    language = speaker % 2
    vectors = 3 * generator.normal(size=(2, 16))[language] + generator.normal(size=(320, 16))
    found = speaker_probe(vectors, LANGUAGES[language], speaker.astype(str), 1)
    assert abs(found.accuracy - 0.5) < 0.06


def test_a_speaker_probe_needs_pairs():
    vectors, language, speaker = planted(1.0)
    alone = np.arange(len(language)).astype(str)
    assert speaker_probe(vectors, language, alone, 1) == (None, None)
    assert speaker_probe(vectors, language, np.full(len(language), "a"), 1) == (None, None)
    apart = np.array([f"language {i}" for i in range(len(language))])
    assert speaker_probe(vectors, apart, speaker, 1) == (None, None)
