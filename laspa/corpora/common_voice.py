"""Mozilla Common Voice: releases on disk, whose `client_id` is one person across languages.

Ardila et al., Common Voice: A Massively-Multilingual Speech Corpus, LREC 2020.
"""

import os
from pathlib import Path

import pandas as pd

from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.disk import corpus_folder
from laspa.errors import LaspaError
from laspa.params import CommonVoice
from laspa.text import few, read_table

TABLES = {"validated": ["validated.tsv"], "all": ["validated.tsv", "other.tsv", "invalidated.tsv"]}
GENDERS = {"male": "m", "male_masculine": "m", "female": "f", "female_feminine": "f"}
LOCALES = {"zh-HK": "yue"}  # locales whose language is not the part before the hyphen
CLIENT_DIGITS = 16  # of the 128 hexadecimal ones of a client_id: enough to tell a million people apart


def list_recordings(options: CommonVoice, root: Path) -> Listing:
    """The clips of every language in every release. A person speaks the languages that they recorded.

    A release has its own splits for each language, and one person may be in train of one and in test
    of another: the manifest splits the speakers instead.

    Raises:
        LaspaError: a folder without LANGUAGE/validated.tsv, a table without a column, or clips that are
            listed but missing.
    """
    if not options.paths:
        raise LaspaError(
            "params.yaml: corpus has common_voice but common_voice.paths is empty; list a release's folder"
        )
    parts, folders = [], {}
    for number, path in enumerate(options.paths):
        release = corpus_folder("common_voice", "common_voice.paths", path, root, "LANGUAGE/validated.tsv")
        key = f"common_voice-{number}"
        folders[key] = path
        tables = sorted(release.glob("*/validated.tsv"))
        if not tables:
            raise LaspaError(
                f"{release}: no LANGUAGE/validated.tsv; name the release's folder, such as "
                "cv-corpus-21.0-2025-03-14, not that of one language or of the archive"
            )
        parts += [_language(table.parent, options, f"{key}/{table.parent.name}") for table in tables]
    rows = pd.concat(parts, ignore_index=True)
    # A person who gives their gender in one language has it in every language.
    known = rows[rows["gender"] != ""].drop_duplicates("speaker").set_index("speaker")["gender"]
    rows["gender"] = [known.get(speaker, "") for speaker in rows["speaker"]]
    skip = options.on_unknown_locale == "skip"
    return Listing(rows.drop_duplicates("path"), folders, skip_unknown_languages=skip)


def _language(folder: Path, options: CommonVoice, prefix: str) -> pd.DataFrame:
    names = [name for name in TABLES[options.clips] if (folder / name).is_file()]
    tables = [read_table(folder / name, ["client_id", "path"], ["gender"]) for name in names]
    table = pd.concat([one.rows for one in tables], ignore_index=True)
    unfit = sum(len(one.unfit) for one in tables)
    if unfit:
        print(
            f"{folder}: {unfit} of {unfit + len(table)} lines of {' and '.join(names)} are left out: they "
            "have more or fewer fields than the header, such as a tab in a sentence; the first is line "
            f"{next(one.unfit[0] for one in tables if one.unfit)}"
        )
    whole = (table["client_id"] != "") & (table["path"] != "")
    if not whole.all():
        print(
            f"{folder}: {(~whole).sum()} of {len(table)} clips are left out, which have no client_id or "
            "no path"
        )
        table = table[whole]
    clips = folder / "clips"
    sizes = {entry.name: entry.stat().st_size for entry in clips.iterdir()} if clips.is_dir() else {}
    # Clips may have been converted; the first releases list them without a suffix.
    by_stem = {os.path.splitext(name)[0]: name for name in sorted(sizes, reverse=True)}
    stems = table["path"].where(
        table["path"].isin(by_stem), table["path"].str.replace(r"\.\w+$", "", regex=True)
    )
    table = table.assign(file=table["path"].where(table["path"].isin(sizes), stems.map(by_stem)))
    missing = table.loc[table["file"].isna(), "path"]
    if len(missing):
        raise LaspaError(
            f"{clips}: {len(missing)} of {len(table)} clips that {' and '.join(names)} list are missing, "
            f"such as {few(missing)}; unpack the archive of {folder.name} again"
        )
    gender = table["gender"] if "gender" in table else pd.Series("", index=table.index)
    return pd.DataFrame(
        {
            "path": f"{prefix}/clips/" + table["file"],
            "speaker": table["client_id"].str[:CLIENT_DIGITS],
            "language": LOCALES.get(folder.name, folder.name),
            "gender": gender.map(GENDERS).fillna(""),
            "split": "",
            "bytes": table["file"].map(sizes),
        }
    )


CORPUS = Corpus(
    name="common_voice",
    title="Mozilla Common Voice",
    licence=CC0,
    citation="Ardila et al., Common Voice: A Massively-Multilingual Speech Corpus, LREC 2020",
    list_recordings=lambda params, root, _: list_recordings(params.common_voice, root),
)
