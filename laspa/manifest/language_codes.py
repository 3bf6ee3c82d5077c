"""Languages as ISO 639-3 codes, whatever a corpus calls them."""

from functools import cache
from typing import Any

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


def unify(languages: pd.Series, corpus: str, skip: bool = False) -> pd.Series:
    """A column of languages as ISO 639-3; with `skip`, unknown ones become empty, and are told.

    Raises:
        LaspaError: unknown codes, with the number of recordings of each.
    """
    codes: dict[Any, str] = {}
    unknown: dict[Any, int] = {}
    for code, count in languages.value_counts().items():
        try:
            codes[code] = iso_639_3(str(code))
        except ValueError:
            unknown[code] = count
    if unknown:
        codes |= dict.fromkeys(unknown, "")
        shown = ", ".join(f"{code!r} ({count} recordings)" for code, count in sorted(unknown.items()))
        if not skip or not any(codes.values()):
            remedy = "such as en, ben or yue"
            if corpus == "common_voice":
                remedy += ", or set common_voice.on_unknown_locale to skip in params.yaml to leave them out"
            raise LaspaError(
                f"{corpus}: no language is called {shown}; write languages as ISO 639-1 or 639-3 codes, "
                f"{remedy}"
            )
        print(f"{corpus}: recordings are left out whose language has no ISO 639 code: {shown}")
    return languages.map(codes)
