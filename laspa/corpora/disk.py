"""Finding corpora on disk: in a fixed order, no recording lost or counted twice, and errors that say what was
looked for."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from laspa.audio.kinds import SUFFIXES, is_recording
from laspa.errors import LaspaError
from laspa.text import few, is_utf_8, printable

# Not looked into for sound: a corpus may have one beside each recording.
NO_SOUND = {
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".xml", ".html", ".lab", ".textgrid", ".trn",
    ".phn", ".wrd", ".py", ".png", ".jpg",
}  # fmt: skip
# Of one recording in several formats, the lowest rank is taken, and then the first by name. Videos come last:
# VoxCeleb2's have no sound.
RANKS = {".wav": 0, ".flac": 1} | dict.fromkeys((".mp4", ".mov", ".3gp", ".webm"), 3)
OTHER_RANK = 2
KNOWN_SUFFIX = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(SUFFIXES)))})$", re.IGNORECASE)


def corpus_folder(corpus: str, param: str, path: str, root: Path, holds: str) -> Path:
    """The folder that a param names, relative to `root`.

    Args:
        param: its name in params.yaml; holds: what the folder should hold, for the message.

    Raises:
        LaspaError: no path given, or one that is not a folder.
    """
    if not path:
        raise LaspaError(f"params.yaml: corpus has {corpus} but {param} is empty; name the folder of {holds}")
    folder = root / path
    if not folder.is_dir():
        raise LaspaError(
            f"params.yaml: {param} is {path!r}, but {folder} is not a folder; it should hold {holds}"
        )
    return folder


def walk(folder: Path) -> Iterator[tuple[str, int]]:
    """(path in `folder`, bytes) of each recording; the other files are counted and told.

    Links to folders are followed.

    Raises:
        LaspaError: names that are not UTF-8.
    """
    strange, broken, others = [], [], []
    for name, size in files(folder):
        if not is_utf_8(name):
            strange.append(printable(name))
        elif size is None:
            broken.append(name)
        elif os.path.splitext(name)[1].lower() not in NO_SOUND and is_recording(folder / name):
            yield name, size
        else:
            others.append(name)
    if strange:
        raise LaspaError(
            f"{folder}: {len(strange)} file(s) whose names are not UTF-8, such as {few(strange)}; rename "
            "them, such as by convmv -f latin1 -t utf-8 -r --notest, or unpack the archive again with the "
            "right encoding"
        )
    say_passed_over(folder, broken, "are links that lead nowhere")
    say_passed_over(folder, others, "hold no sound that is known")


def files(folder: Path, inner: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[str, int | None]]:
    """(path in `folder`, bytes) of every file, those of a folder before those of its folders, by name.

    Bytes are None for a link that leads nowhere.
    """
    here = os.path.realpath(folder / inner)
    if here in above:
        return  # a link to a folder that it is in
    with os.scandir(folder / inner) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.is_file():
            yield f"{inner}{entry.name}", entry.stat().st_size
        elif entry.is_symlink() and not entry.is_dir():
            yield f"{inner}{entry.name}", None
    for entry in ordered:
        if entry.is_dir():
            yield from files(folder, f"{inner}{entry.name}/", (*above, here))


def say_passed_over(folder: Path | str, names: list[str], why: str) -> None:
    """Tell how many files are passed over, of which suffixes, and name a few."""
    if not names:
        return
    counts = Counter(PurePosixPath(name).suffix or "no suffix" for name in names)
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in counts.most_common())
    print(f"{folder}: {len(names):,} files are passed over, which {why} ({kinds}), such as {few(names)}")


def without_suffix(paths: pd.Series) -> pd.Series:
    """Paths without the suffix of a recording."""
    return paths.str.replace(KNOWN_SUFFIX, "", regex=True)


def one_format_each(rows: pd.DataFrame, keys: pd.Series, corpus: str) -> pd.DataFrame:
    """One row for each key: of a recording and its conversions to other formats, WAV first, then FLAC.

    Raises:
        LaspaError: the rows of one key are of two speakers or languages.
    """
    again = keys.duplicated(keep=False)
    if not again.any():
        return rows
    several = rows[again].assign(key=keys[again])
    differ = several.groupby("key")[["speaker", "language"]].nunique().max(axis=1)
    if (differ > 1).any():
        paths = several.loc[several["key"] == differ.idxmax(), "path"]
        raise LaspaError(
            f"{corpus}: {' and '.join(paths.iloc[:2])} have one name in two formats, but two speakers or "
            "languages; rename or remove one"
        )
    suffixes = several["path"].str.extract(rf"({KNOWN_SUFFIX.pattern})", flags=re.IGNORECASE)[0].str.lower()
    several["rank"] = suffixes.map(RANKS).fillna(OTHER_RANK)
    kept = several.sort_values(["key", "rank", "path"]).drop_duplicates("key").index
    left = several.index.difference(kept)
    print(
        f"{corpus}: {len(left):,} of {len(rows):,} recordings are left out, because they are there in "
        f"another format too, such as {rows['path'][left[0]]}"
    )
    return rows.drop(left)


def first_file(places: Iterable[Path]) -> Path | None:
    """The first of `places` that is a file."""
    return next((place for place in places if place.is_file()), None)


def say_list_is_missing(name: str, file: str, folder: Path, remedy: str = "") -> None:
    """Tell that an official trial list is left out, and how to have it."""
    print(f"trial list {name} is left out: {file} is neither in {folder} nor beside it; put it there{remedy}")
