"""Reading the manifest, with and without augmented copies."""

from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError

OTHER = "other"  # the name of the trial list, and of its rates, of what follows
OUT_OF_CORPUS = ("synthetic_other",)  # corpora on which no model is trained or tuned
COPIES_FILE = "copies.parquet"  # in the features' folder, where there are augmented copies


def read_manifest(path: Path | str) -> pd.DataFrame:
    """The manifest as a table.

    Raises:
        LaspaError: the file is missing.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage manifest (dvc repro manifest)") from None


def trained_languages(manifest: pd.DataFrame) -> set[str]:
    """The languages that are heard in training."""
    return set(manifest.loc[manifest["split"] == "train", "language"])


def rows_of_split(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of train, dev or test; or `other`: of corpora that only test models of other corpora.

    Those stand in the manifest's split test, but are no part of the test split of the corpora that a model is
    trained for: they are drawn trials from, counted and measured by themselves.
    """
    other = manifest.get("corpus", pd.Series("", manifest.index)).isin(OUT_OF_CORPUS)
    if split == OTHER:
        return manifest[other]
    return manifest[(manifest["split"] == split) & ~other]


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
