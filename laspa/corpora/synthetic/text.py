"""What the embedded corpora say, out of CLDR: names, or dates and quantities."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import numpy as np
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.units import format_unit

from laspa.errors import LaspaError

UNITS = (
    "length-kilometer",
    "length-meter",
    "mass-kilogram",
    "volume-liter",
    "area-square-meter",
    "temperature-celsius",
    "speed-kilometer-per-hour",
    "digital-megabyte",
)
MOST = 200  # of a unit; our choice
FIRST_DAY, DAYS = date(1950, 1, 1), 27_000  # the days that are spoken of: until 2023; our choice


@cache
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        raise LaspaError(f"the language {language!r}, which CLDR does not know; use ISO 639-1") from None


@cache
def words(language: str) -> tuple[str, ...]:
    """All names that CLDR has in `language`, sorted.

    Raises:
        LaspaError: a language that CLDR does not know or has too few names for.
    """
    locale = _locale(language)
    names = {*locale.territories.values(), *locale.languages.values(), *locale.currencies.values()}
    kept = sorted(name for name in names if name and not any(character.isdigit() for character in name))
    if len(kept) < 50:
        raise LaspaError(f"the language {language!r}, but CLDR has only {len(kept)} names in it")
    return tuple(kept)


def phrase(language: str, characters: int, generator: np.random.Generator) -> str:
    """Random names with commas between them, of at least `characters` together; raises as `words` does."""
    names = words(language)
    return ", ".join(_enough(lambda: names[generator.integers(len(names))], characters))


def dates_and_quantities(language: str, characters: int, generator: np.random.Generator) -> str:
    """Random dates with the day of the week, and numbers of UNITS, a sentence each; at least `characters`.

    Raises:
        LaspaError: a language that CLDR does not know or has no names of units in.
    """
    locale, units = _locale(language), _units(language)

    def sentence() -> str:
        if generator.random() < 0.5:
            return format_date(FIRST_DAY + timedelta(int(generator.integers(DAYS))), "full", locale)
        unit = units[generator.integers(len(units))]
        return format_unit(int(generator.integers(2, MOST)), unit, "long", locale=locale)

    return ". ".join(_enough(sentence, characters))


@cache
def _units(language: str) -> tuple[str, ...]:
    """Those of UNITS that CLDR has a name for; babel writes `12 length-meter` where it has none."""
    said = ((unit, format_unit(MOST, unit, "long", locale=_locale(language))) for unit in UNITS)
    if not (kept := tuple(unit for unit, text in said if unit not in text)):
        raise LaspaError(f"the language {language!r}, but CLDR has no names of units in it")
    return kept


def _enough(draw: Callable[[], str], characters: int) -> list[str]:
    chosen: list[str] = []
    while sum(map(len, chosen)) < characters:
        chosen.append(draw())
    return chosen
