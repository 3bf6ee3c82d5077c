"""Reading the manifest, with and without augmented copies, and tables like it."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from laspa.errors import LaspaError
from laspa.files import parsed
from laspa.text import composed, read_table, read_whole, refuse_unfit

# Why a recording is left out; the path of the one that is kept follows.
COPY = "the same bytes and labels as "
COPIES_FILE = "copies.parquet"  # in the features' folder, where there are augmented copies


def read_manifest(path: Path | str) -> pd.DataFrame:
    """The manifest as a table.

    Raises:
        LaspaError: the file is missing or damaged.
    """
    try:
        with parsed(path, "a Parquet table", "run dvc repro --force --single-item manifest"):
            return read_whole(path).to_pandas()
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage manifest (dvc repro manifest)") from None


def read_parquet(path: Path | str, columns: tuple[str, ...]) -> pa.Table:
    """A Parquet table that has at least these columns and a row.

    Raises:
        LaspaError: the file is missing or no Parquet, a column is missing, or there are no rows.
    """
    try:
        with parsed(path, "a Parquet table"):
            table = read_whole(path).combine_chunks()
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file") from None
    return _with_columns(path, table, columns)


def read_labels(path: Path | str, columns: tuple[str, ...]) -> pa.Table:
    """What is known of utterances, of a Parquet table or of a CSV, whose paths may name them.

    Raises:
        LaspaError: as `read_parquet`.
    """
    if Path(path).suffix not in (".csv", ".tsv"):
        return read_parquet(path, columns)
    table = refuse_unfit(path, read_table(path, [])).replace("", None)
    if "utterance_id" not in table and "path" in table:
        table = table.assign(utterance_id=table["path"])
    return _with_columns(path, pa.Table.from_pandas(table, preserve_index=False).combine_chunks(), columns)


def _with_columns(path: Path | str, table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise LaspaError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    if not len(table):
        raise LaspaError(f"{path}: empty; expected rows of {', '.join(columns)}")
    return table


def trained_languages(manifest: pd.DataFrame) -> set[str]:
    """The languages that are heard in training."""
    return set(manifest.loc[manifest["split"] == "train", "language"])


def copied_from(skipped: Path | str) -> dict[str, str]:
    """The recording that is kept, of each that the table of skipped ones names as its copy."""
    table = pd.read_csv(skipped, dtype=str, keep_default_na=False)
    copies = table[table["reason"].str.startswith(COPY)]
    return dict(zip(copies["path"].map(composed), copies["reason"].str.removeprefix(COPY), strict=True))


def read_utterances(manifest: Path | str, features: Path | str) -> pd.DataFrame:
    """The manifest, and after it a row for each augmented copy that the features' folder holds.

    Raises:
        LaspaError: the manifest is missing.
    """
    table = read_manifest(manifest)
    copies = Path(features) / COPIES_FILE
    if not copies.is_file():
        return table
    return pd.concat([table, pd.read_parquet(copies)[table.columns]], ignore_index=True)
