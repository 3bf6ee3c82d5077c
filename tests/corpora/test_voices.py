"""Voices: shifts with the spread that is documented, and none where their strength is 0."""

import numpy as np
import pytest

from laspa.corpora.synthetic.voices import (
    FORMANTS,
    PERSONAL_SHIFT,
    SHARED_SHIFT,
    Voice,
    generator_for,
    speaker_voice,
    voice_in,
)

DRAWS = 3000
TOLERANCE = 4 / np.sqrt(2 * DRAWS)  # of a standard deviation: four of its standard errors

PLAIN = Voice("f", 200.0, 1.4, np.ones(FORMANTS), np.ones(FORMANTS), np.ones(FORMANTS), 0, 0, 0, 100)


def figures(voice: Voice) -> np.ndarray:
    """Log pitch, log formant frequencies, formant heights in points: (1 + 2 · formants,)."""
    return np.concatenate([[np.log(voice.pitch)], np.log(voice.frequency), 100 * voice.height])


def test_shift_zero_is_the_same_voice_in_every_language() -> None:
    voice = speaker_voice(1, "ann", "f")
    files = {voice_in(voice, 1, "ann", code, 0.0, 0.0).file("en") for code in ("en", "es", "hi", "pt", "te")}
    assert files == {voice.file("en")}


@pytest.mark.parametrize(
    ("shift", "strength"), [(SHARED_SHIFT, 1.0), (SHARED_SHIFT, 0.5), (PERSONAL_SHIFT, 1.0)]
)
def test_shifts_have_the_standard_deviations_named(
    shift: tuple[float, float, float], strength: float
) -> None:
    generator = np.random.default_rng(0)
    moves = np.array(
        [figures(PLAIN.moved(shift, strength, generator)) - figures(PLAIN) for _ in range(DRAWS)]
    )
    pitch, frequency, height = shift
    expected = strength * np.array([pitch] + [frequency] * FORMANTS + [height] * FORMANTS)
    np.testing.assert_allclose(moves.std(axis=0), expected, rtol=TOLERANCE)
    np.testing.assert_array_less(np.abs(moves.mean(axis=0)), 4 * expected / np.sqrt(DRAWS))
    # Independent of one another: 13 figures, no correlation past chance.
    off_diagonal = np.corrcoef(moves.T)[~np.eye(1 + 2 * FORMANTS, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(DRAWS)


def test_the_figures_are_those_of_the_documentation() -> None:
    assert SHARED_SHIFT == (0.06, 0.03, 18.0)
    assert PERSONAL_SHIFT == (0.06, 0.02, 10.0)


def test_the_shared_shift_is_all_speakers_the_personal_one_each_ones_own() -> None:
    def move(speaker: str, language: str, shared: float, personal: float) -> np.ndarray:
        voice = speaker_voice(1, speaker, "m")
        return figures(voice_in(voice, 1, speaker, language, shared, personal)) - figures(voice)

    np.testing.assert_allclose(move("ann", "en", 1, 0), move("bob", "en", 1, 0))
    assert np.abs(move("ann", "en", 1, 0) - move("ann", "es", 1, 0)).max() > 0.01
    assert np.abs(move("ann", "en", 0, 1) - move("bob", "en", 0, 1)).max() > 0.01
    np.testing.assert_allclose(
        move("ann", "en", 1, 1), move("ann", "en", 1, 0) + move("ann", "en", 0, 1), atol=1e-9
    )


def test_women_speak_higher_and_from_shorter_tracts() -> None:
    voices = {g: [speaker_voice(1, f"{g}{index}", g) for index in range(400)] for g in "fm"}
    pitch = {g: np.array([voice.pitch for voice in voices[g]]) for g in "fm"}
    assert np.median(pitch["f"]) == pytest.approx(185, rel=0.04)
    assert np.median(pitch["m"]) == pytest.approx(95, rel=0.04)
    for g in "fm":
        assert np.log(pitch[g]).std() == pytest.approx(0.14, rel=0.15)
        assert 50 < pitch[g].min() < pitch[g].max() < 350
    tract = {g: np.mean([voice.frequency.mean() for voice in voices[g]]) for g in "fm"}
    assert tract["f"] / tract["m"] == pytest.approx(1.12 / 0.98, rel=0.02)


def test_a_voice_file_says_everything_in_espeak_s_words() -> None:
    voice = Voice(
        "m",
        101.4,
        1.5,
        np.array([1.0, 1.1, 0.9, 1, 1, 1]),
        np.array([1.0, 0.8, 0.01, 1, 1, 1]),
        np.full(FORMANTS, 1.2),
        breath=5,
        roughness=3,
        flutter=2,
        speed=90,
    )
    assert voice.file("hi") == (
        "name laspa\nlanguage hi\ngender male\npitch 101 152\nroughness 3\nflutter 2\nspeed 90\n"
        "breath 5 5 5 5 5 5 5 5\n"
        "formant 0 100 100 120\nformant 1 110 80 120\nformant 2 90 5 120\n"
        "formant 3 100 100 120\nformant 4 100 100 120\nformant 5 100 100 120\n"
    )


def test_generators_depend_on_their_names_alone() -> None:
    first, again, other = (generator_for(1, "a", name).integers(2**31) for name in ("b", "b", "c"))
    assert first == again != other
    # Pinned: the default corpus is a function of this.
    assert generator_for(1, "speaker", "train0000").integers(2**31) == 255459486
