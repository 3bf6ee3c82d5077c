"""The prompts of Debian's asterisk-core-sounds packages: a woman in English and Spanish, three others.

G.722, 16 kHz. Too few speakers to train on, enough to check whether a model recognises one across
languages: `laspa corpus check asterisk`.
"""

from pathlib import Path

from laspa.corpora.corpus import Corpus, Licence, Listing, table_of
from laspa.corpora.disk import corpus_folder, walk
from laspa.errors import LaspaError

# Folder of each package → speaker (as its copyright file says), language, gender.
VOICES = {
    "en_US_f_Allison": ("allison", "eng", "f"),
    "es_MX_f_Allison": ("allison", "spa", "f"),
    "fr_CA_f_June": ("june", "fra", "f"),
    "it_IT_m_Carlo": ("carlo", "ita", "m"),
    "ru_RU_f_IvrvoiceRU": ("ivrvoice", "rus", "f"),
}
PACKAGES = "asterisk-core-sounds-{en,es,fr,it,ru}-g722"
NO_SPEECH = {"beep", "beeperr", "ascending-2tone", "descending-2tone", "silence"}  # files, and a folder
BYTES_PER_SECOND = 8_000  # G.722 at 64 kbit/s, as Asterisk writes it
SECONDS_AT_LEAST = 1.0  # digits and letters are shorter and say little about a voice (our choice)


def list_recordings(path: str, root: Path) -> Listing:
    """The prompts of a second or longer, all in the split test.

    Args:
        path: /usr/share/asterisk/sounds, or a folder in which the packages were unpacked.

    Raises:
        LaspaError: none of the packages' folders is there.
    """
    install = f"apt-get install {PACKAGES}"
    folder = corpus_folder("asterisk", "asterisk.path", path, root, f"the prompts; {install}")
    rows = [
        (f"asterisk/{place.relative_to(folder).as_posix()}/{name}", *voice, "test", size)
        for package, voice in VOICES.items()
        for place in sorted(folder.rglob(package))
        if place.is_dir()
        for name, size in walk(place)
        if name.endswith(".g722")
        and size >= SECONDS_AT_LEAST * BYTES_PER_SECOND
        and NO_SPEECH.isdisjoint({Path(name).stem, *Path(name).parts})
    ]
    if not rows:
        raise LaspaError(
            f"{folder}: none of {', '.join(VOICES)} with prompts in G.722; {install}, or "
            "set asterisk.path to where the packages are unpacked"
        )
    return Listing(table_of(rows), {"asterisk": path})


CORPUS = Corpus(
    name="asterisk",
    title="Asterisk's prompts",
    licence=Licence("CC BY-SA 3.0 (ru: CC BY 3.0)", "https://creativecommons.org/licenses/by-sa/3.0/"),
    citation="asterisk-core-sounds 1.6.1: Allison Smith, June Wallack, Carlo Flora, ivrvoice.ru",
    list_recordings=lambda params, root, _: list_recordings(params.asterisk.path, root),
)
