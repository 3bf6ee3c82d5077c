"""Reading the manifest, with and without augmented copies."""

from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError
from laspa.files import parsed
from laspa.text import composed

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
            return pd.read_parquet(path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage manifest (dvc repro manifest)") from None


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
