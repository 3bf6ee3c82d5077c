"""Finding corpora on disk: quickly, in a fixed order, and with errors that say what was looked for."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
FEW = 5  # names in a message


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


def walk(folder: Path, suffixes: set[str], inner: str = "") -> Iterator[tuple[str, int]]:
    """(path in `folder`, bytes) of each file with one of the suffixes; links to folders are not followed."""
    with os.scandir(folder / inner) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
            yield f"{inner}{entry.name}", entry.stat().st_size
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(folder, suffixes, f"{inner}{entry.name}/")


def read_table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV, TSV or Parquet table as text, without blanks around names and values.

    Raises:
        LaspaError: a file that is missing, is not a table or lacks one of `columns`.
    """
    try:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file).astype("string").fillna("").astype(str)
        else:
            table = pd.read_csv(
                file,
                sep=DELIMITERS.get(file.suffix, ","),
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                # A quotation mark in a TSV is part of a sentence.
                quoting=3 if file.suffix == ".tsv" else 0,
            )
    except FileNotFoundError:
        raise LaspaError(f"{file}: no such file; it should have the columns {', '.join(columns)}") from None
    except (OSError, ValueError) as error:  # ValueError: those of pandas, pyarrow and the UTF-8 decoder
        kind = file.suffix.removeprefix(".").upper() if file.suffix in DELIMITERS else "Parquet"
        raise LaspaError(f"{file}: not a {kind} table ({error})") from None
    table.columns = table.columns.str.strip()
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise LaspaError(f"{file}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.apply(lambda column: column.str.strip())


def few(names: Iterable[str]) -> str:
    """The first names, for a message about many."""
    return ", ".join(islice(names, FEW))


def first_file(places: Iterable[Path]) -> Path | None:
    """The first of `places` that is a file."""
    return next((place for place in places if place.is_file()), None)


def say_list_is_missing(name: str, file: str, folder: Path, remedy: str = "") -> None:
    """Tell that an official trial list is left out, and how to have it."""
    print(f"trial list {name} is left out: {file} is neither in {folder} nor beside it; put it there{remedy}")
