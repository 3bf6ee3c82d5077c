"""Any folders of recordings: a manifest (path, speaker, language), or a speaker/language/ tree."""

import os
import posixpath
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import soundfile

from laspa.corpora.corpus import Corpus, Licence, Listing
from laspa.corpora.disk import files, first_file, say_passed_over, walk
from laspa.errors import LaspaError
from laspa.manifest.index import INDEX_COLUMNS, UNDETERMINED
from laspa.text import composed, is_utf_8, printable, read_table

MANIFESTS = ("manifest.csv", "manifest.tsv", "manifest.parquet")
REQUIRED = ["path", "speaker", "language"]
OPTIONAL = ["gender", "split", "channel"]
CHOICES = {"gender": ("f", "m", ""), "split": ("train", "dev", "test", "")}


def list_recordings(paths: list[str], root: Path) -> Listing:
    """The recordings of all folders; they stay where they are.

    A path in the index starts with the folder's number, a speaker's name with the folder's name, so
    that two folders may use the same names for different people (a second folder of the same name is
    numbered). Each of several folders is a corpus of its own in the column `corpus`.

    Raises:
        LaspaError: no folder given or one twice, a folder without recordings, a manifest without
            a column, or with a row that is incomplete, comes twice or names a missing file.
    """
    if not paths:
        raise LaspaError("params.yaml: corpus is folder but folder.paths is empty; list at least one folder")
    folders = [(root / path).resolve() for path in paths]
    parts = []
    for number, (path, folder) in enumerate(zip(paths, folders, strict=True)):
        if folder in folders[:number]:
            raise LaspaError(f"params.yaml: folder.paths has {path!r} twice; list each folder once")
        if not folder.is_dir():
            raise LaspaError(f"params.yaml: folder.paths has {path!r}, but {folder} is not a folder")
        manifest = first_file(folder / name for name in MANIFESTS)
        table = _from_manifest(folder, manifest) if manifest else _from_tree(folder)
        table = table.reindex(columns=[*INDEX_COLUMNS, "bytes"], fill_value="")
        table["path"] = f"{number}/" + table["path"]
        same_name = sum(other.name == folder.name for other in folders[:number])
        prefix = f"{folder.name}{same_name + 1}" if same_name else folder.name
        table["speaker"] = f"{prefix}-" + table["speaker"]
        if len(paths) > 1:
            table["corpus"] = f"folder-{prefix}"
        parts.append(table)
    return Listing(pd.concat(parts), {str(number): path for number, path in enumerate(paths)})


def _from_manifest(folder: Path, file: Path) -> pd.DataFrame:
    table = read_table(file, REQUIRED, OPTIONAL)
    if table.empty:
        raise LaspaError(f"{file}: no rows; list at least one recording")
    for column in ("path", "speaker"):  # the stage label can find a language
        empty = table.index[table[column] == ""]
        if len(empty):
            raise LaspaError(f"{file}:{empty[0]}: {column} is empty")
    for column, choices in CHOICES.items():
        if column in table and not (known := table[column].isin(choices)).all():
            line = table.index[~known][0]
            raise LaspaError(
                f"{file}:{line}: {column} is {table[column][line]!r}; write {', '.join(choices)[:-2]}, "
                "or leave it empty"
            )
    find = _finder(folder)
    found = [find(name, f"{file}:{line}") for line, name in table["path"].items()]
    table["path"], table["bytes"] = zip(*found, strict=True)
    if "channel" in table:
        _refuse_channels(folder, table[table["channel"] != ""], file)
    twice = table.index[table["path"].duplicated()]
    if len(twice):
        name = table["path"][twice[0]]
        first = table.index[table["path"] == name][0]
        raise LaspaError(
            f"{file}:{twice[0]}: lists {name} again, as line {first} does; list a recording once"
        )
    return table.assign(language=table["language"].replace("", UNDETERMINED))


def _finder(folder: Path) -> Callable[[str, str], tuple[str, int]]:
    """Finds a folder's files by names as other systems write them: `./a.wav`, `d\\a.wav`, other accents.

    Returns:
        from a name, and its place in the manifest: the path, relative to `folder` if the file is in it, and
        its bytes. It raises LaspaError for no such file, or one outside that is not named by its whole path.
    """

    @cache
    def by_composed() -> dict[str, str]:
        found = (path for path, size in files(folder) if is_utf_8(path) and size is not None)
        return {composed(path): path for path in found}

    def find(name: str, place: str) -> tuple[str, int]:
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            path = posixpath.normpath(spelling)
            if os.path.isabs(path):
                within = os.path.relpath(os.path.realpath(path), folder)
                path = path if within.startswith("..") else within
            try:
                size = (folder / path).stat().st_size
            except (OSError, ValueError):
                if composed(path) not in by_composed():
                    continue
                path = by_composed()[composed(path)]
                size = (folder / path).stat().st_size
            if not (folder / path).is_file():
                raise LaspaError(f"{place}: {name} is a folder, a recording was expected")
            if path.startswith("../"):
                raise LaspaError(f"{place}: {name} lies outside the folder; write its whole path, or move it")
            return path, size
        raise LaspaError(f"{place}: lists {printable(name)}, but {printable(folder / name)} is missing")

    return find


def _refuse_channels(folder: Path, table: pd.DataFrame, file: Path) -> None:
    """A column `channel` says that channels are of several people, which the mean of them is not."""
    for line, name in table["path"].items():
        try:
            channels = soundfile.info(str(folder / name)).channels
        except Exception:  # the stage manifest says what is wrong with it
            continue
        if channels > 1:
            raise LaspaError(
                f"{file}:{line}: channel is {table['channel'][line]!r} of {name}, which has {channels} "
                "channels, but one channel of a recording cannot be chosen here; write each channel to a "
                "file of its own, such as by sox in.sph out.wav remix 1, list those, and remove the column"
            )


def _from_tree(folder: Path) -> pd.DataFrame:
    rows, others = [], []
    for name, size in walk(folder):
        speaker, _, rest = name.partition("/")
        language, _, file = rest.partition("/")
        if file:
            rows.append((name, speaker, language, size))
        else:
            others.append(name)
    say_passed_over(folder, others, "do not stand in SPEAKER/LANGUAGE/")
    if not rows:
        raise LaspaError(
            f"{folder}: neither a {', '.join(MANIFESTS[:-1])} or {MANIFESTS[-1]} (columns "
            f"{', '.join(REQUIRED)}) nor recordings as SPEAKER/LANGUAGE/NAME"
        )
    return pd.DataFrame(rows, columns=[*REQUIRED, "bytes"])


CORPUS = Corpus(
    name="folder",
    title="Folders of recordings",
    licence=Licence("the recordings' own", ""),
    citation="",
    list_recordings=lambda params, root, _: list_recordings(params.folder.paths, root),
)
