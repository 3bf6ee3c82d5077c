"""Languages as ISO 639-3 codes, whatever a corpus calls them."""

from functools import cache

import pandas as pd
from babel import Locale
from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from laspa.errors import LaspaError
from laspa.manifest.index import UNDETERMINED


@cache
def iso_639_3(name: str) -> str:
    """`en`, `eng`, `en-US`, `English` and `en: English` → `eng`; varieties with a code (`yue`) keep it.

    Codes are those of the registry of language tags (langcodes), names are CLDR's in English.

    Raises:
        ValueError: neither a code nor a name.
    """
    if name == UNDETERMINED:
        return name
    code = _by_english_name().get(name.casefold(), name.partition(":")[0].strip())
    try:
        language = Language.get(code)
        if language.language and Language.get(language.language).is_valid():
            return language.to_alpha3()
    except (LanguageTagError, LookupError):
        pass
    raise ValueError(code)


@cache
def _by_english_name() -> dict[str, str]:
    return {name.casefold(): code for code, name in Locale("en").languages.items()}


def unify(languages: pd.Series, corpus: str) -> pd.Series:
    """A column of languages as ISO 639-3.

    Raises:
        LaspaError: unknown codes, with the number of recordings of each.
    """
    codes, unknown = {}, {}
    for code, count in languages.value_counts().items():
        try:
            codes[code] = iso_639_3(str(code))
        except ValueError:
            unknown[code] = count
    if unknown:
        shown = ", ".join(f"{code!r} ({count} recordings)" for code, count in sorted(unknown.items()))
        raise LaspaError(
            f"{corpus}: no language is called {shown}; write languages as ISO 639-1 or 639-3 codes, "
            "such as en, ben or yue"
        )
    return languages.map(codes)
