"""What the embedded corpus says: names of countries, languages and currencies from CLDR."""

from functools import cache

import numpy as np
from babel import Locale, UnknownLocaleError

from laspa.errors import LaspaError


@cache
def words(language: str) -> tuple[str, ...]:
    """All names that CLDR has in `language`, sorted.

    Raises:
        LaspaError: a language that CLDR does not know or has too few names for.
    """
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        raise LaspaError(
            f"params.yaml: synthetic has the language {language!r}, which CLDR does not know; use ISO 639-1"
        ) from None
    names = {*locale.territories.values(), *locale.languages.values(), *locale.currencies.values()}
    kept = sorted(name for name in names if name and not any(character.isdigit() for character in name))
    if len(kept) < 50:
        raise LaspaError(
            f"params.yaml: synthetic has the language {language!r}, but CLDR has only {len(kept)} names in it"
        )
    return tuple(kept)


def phrase(language: str, characters: int, generator: np.random.Generator) -> str:
    """Random names with commas between them, of at least `characters` together."""
    names = words(language)
    chosen: list[str] = []
    while sum(len(name) for name in chosen) < characters:
        chosen.append(names[generator.integers(len(names))])
    return ", ".join(chosen)
