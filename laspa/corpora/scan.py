"""Finding recordings on disk: quickly, in a fixed order, and with an error that says what was looked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def corpus_folder(corpus: str, param: str, path: str, root: Path, holds: str) -> Path:
    """The folder that a param names, `root`-relative.

    Args:
        param: its name in params.yaml; holds: what stands in the folder, for the message.

    Raises:
        LaspaError: no path given, or one that is no folder.
    """
    if not path:
        raise LaspaError(f"params.yaml: corpus has {corpus} but {param} is empty; name the folder of {holds}")
    folder = root / path
    if not folder.is_dir():
        raise LaspaError(f"params.yaml: {param} is {path!r}, but {folder} is not a folder; it holds {holds}")
    return folder


def walk(folder: Path, suffixes: set[str]) -> Iterator[tuple[str, int]]:
    """(path in `folder`, bytes) of each file with one of the suffixes; no link to a folder is followed."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(folder / inner) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
            waiting += [
                f"{inner}{entry.name}/" for entry in ordered[::-1] if entry.is_dir(follow_symlinks=False)
            ]
            for entry in ordered:
                name = f"{inner}{entry.name}"
                if os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                    yield name, entry.stat().st_size


def read_table(file: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV, TSV or Parquet table as text, without blanks around names and values.

    Raises:
        LaspaError: a file that is missing, is no table or lacks one of `columns`.
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
                # Sentences in a TSV hold quotation marks that quote nothing.
                quoting=3 if file.suffix == ".tsv" else 0,
            )
    except FileNotFoundError:
        raise LaspaError(f"{file}: no such file; it should have the columns {', '.join(columns)}") from None
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        OSError,
        ValueError,
    ) as error:
        kind = file.suffix.removeprefix(".").upper() if file.suffix in DELIMITERS else "Parquet"
        raise LaspaError(f"{file}: not a {kind} table ({error})") from None
    table.columns = table.columns.str.strip()
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise LaspaError(f"{file}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.apply(lambda column: column.str.strip())
