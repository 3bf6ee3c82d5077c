"""What the embedded corpus says: CLDR names, enough of them, the same ones for a seed."""

import numpy as np
import pytest
from babel import Locale

from laspa.corpora.synthetic.text import dates_and_quantities, phrase, words
from laspa.errors import LaspaError


def test_words_are_names_of_the_language_without_digits_in_a_fixed_order() -> None:
    german = words("de")
    assert {"Frankreich", "Tamil", "Schweizer Franken"} <= set(german)
    assert list(german) == sorted(set(german))
    assert not any(character.isdigit() for name in german for character in name)
    assert set(german) <= {
        *Locale("de").territories.values(),
        *Locale("de").languages.values(),
        *Locale("de").currencies.values(),
    }


@pytest.mark.parametrize("characters", [1, 20, 200])
def test_a_phrase_is_long_enough_and_not_a_name_longer(characters: int) -> None:
    for seed in range(20):
        names = phrase("en", characters, np.random.default_rng(seed)).split(", ")
        # Names may hold ", " themselves, so lengths are counted without them.
        without_commas = sum(map(len, names))
        assert without_commas >= characters - 2 * len(names)
        assert without_commas - len(names[-1]) < characters


def test_a_phrase_depends_on_its_generator_alone() -> None:
    first, again, other = (phrase("hi", 60, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("language", ["xx", "english", "", "en/us"])
def test_a_language_that_cldr_does_not_know_is_refused(language: str) -> None:
    with pytest.raises(LaspaError, match="CLDR does not know; use ISO 639-1"):
        words(language)


def test_a_language_with_few_names_is_refused() -> None:
    with pytest.raises(LaspaError, match=r"'tyv', but CLDR has only 0 names in it"):
        words("tyv")


@pytest.mark.parametrize("language", ["en", "hi", "hu", "sw"])
def test_dates_and_quantities_are_in_the_language_and_long_enough(language: str) -> None:
    locale = Locale(language)
    months = set(locale.months["format"]["wide"].values())
    said = [dates_and_quantities(language, 60, np.random.default_rng(seed)) for seed in range(40)]
    assert said == [dates_and_quantities(language, 60, np.random.default_rng(seed)) for seed in range(40)]
    assert min(map(len, said)) >= 60
    assert all(any(month in text for text in said) for month in months)
    for text in said:
        assert any(character.isdigit() for character in text)
        assert "length-" not in text  # babel's key, where CLDR has no name for a unit
        assert "-per-" not in text


def test_dates_in_a_language_that_cldr_does_not_know_are_refused() -> None:
    with pytest.raises(LaspaError, match="CLDR does not know; use ISO 639-1"):
        dates_and_quantities("xx", 10, np.random.default_rng(0))
