"""The prompts of Debian's asterisk-core-sounds packages: a woman in English and Spanish, three others.

G.722, 16 kHz. Too few people to train on, enough to see whether a model knows one across languages:
`laspa corpus check asterisk`.
"""

from pathlib import Path

import pandas as pd

from laspa.corpora.corpus import INDEX_COLUMNS, Corpus, Licence, Listing
from laspa.corpora.scan import corpus_folder, walk
from laspa.errors import LaspaError

# Folder of each package → who speaks (as its copyright file says), language, gender.
VOICES = {
    "en_US_f_Allison": ("allison", "eng", "f"),
    "es_MX_f_Allison": ("allison", "spa", "f"),
    "fr_CA_f_June": ("june", "fra", "f"),
    "it_IT_m_Carlo": ("carlo", "ita", "m"),
    "ru_RU_f_IvrvoiceRU": ("ivrvoice", "rus", "f"),
}
PACKAGES = "asterisk-core-sounds-{en,es,fr,it,ru}-g722"
NO_SPEECH = ("beep", "beeperr", "ascending-2tone", "descending-2tone", "silence")  # files, and a folder
BYTES_PER_SECOND = 8_000  # G.722 at 64 kbit/s, as Asterisk writes it
SECONDS_AT_LEAST = 1.0  # digits and letters are shorter and say little of a voice (our choice)


def list_recordings(path: str, root: Path) -> Listing:
    """The prompts of a second or longer; all are of the split test.

    Args:
        path: /usr/share/asterisk/sounds, or a folder that the packages were unpacked in.

    Raises:
        LaspaError: none of the packages' folders is there.
    """
    folder = corpus_folder(
        "asterisk", "asterisk.path", path, root, f"the prompts; apt-get install {PACKAGES}"
    )
    voices = {
        place.relative_to(folder).as_posix(): VOICES[name]
        for name in VOICES
        for place in sorted(folder.rglob(name))
        if place.is_dir()
    }
    rows = [
        (f"asterisk/{place}/{name}", *voice, "test", size)
        for place, voice in voices.items()
        for name, size in walk(folder / place, {".g722"})
        if size >= SECONDS_AT_LEAST * BYTES_PER_SECOND
        and not {Path(name).stem, *Path(name).parts} & set(NO_SPEECH)
    ]
    if not rows:
        raise LaspaError(
            f"{folder}: none of {', '.join(VOICES)} with prompts in G.722; apt-get install {PACKAGES}, or "
            "set asterisk.path to where the packages are unpacked"
        )
    return Listing(pd.DataFrame(rows, columns=[*INDEX_COLUMNS, "bytes"]), {"asterisk": path})


CORPUS = Corpus(
    "asterisk",
    "Asterisk's prompts",
    Licence("CC BY-SA 3.0 (ru: CC BY 3.0)", "https://creativecommons.org/licenses/by-sa/3.0/"),
    "asterisk-core-sounds 1.6.1: Allison Smith, June Wallack, Carlo Flora, ivrvoice.ru",
    lambda params, root, _: list_recordings(params.asterisk.path, root),
)
