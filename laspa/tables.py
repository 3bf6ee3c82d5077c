"""Reading the tables that stages hand to one another: the manifest and the trial lists."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from laspa.errors import LaspaError

COPIES_FILE = "copies.parquet"  # in the features' folder, where there are augmented copies
TRIAL_COLUMNS = ["enroll", "test", "target", "same_language", "same_gender", "unseen_language"]


def read_manifest(path: Path | str) -> pd.DataFrame:
    """The manifest as a table.

    Raises:
        LaspaError: the file is missing.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage manifest (dvc repro manifest)") from None


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


def read_trials(path: Path | str) -> pd.DataFrame:
    """A trial table as `generate_trials` makes it.

    Raises:
        LaspaError: the file or a column is missing.
    """
    try:
        trials = pd.read_parquet(path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage trials (dvc repro trials)") from None
    missing = [column for column in TRIAL_COLUMNS if column not in trials.columns]
    if missing:
        raise LaspaError(f"{path}: no column {', '.join(missing)}; it has {', '.join(trials.columns)}")
    return trials


def trial_list_info(name: str, trials: pd.DataFrame, manifest: pd.DataFrame) -> dict[str, Any]:
    """Name, SHA-256 of the lines `enroll test 1|0`, number of trials and of speakers."""
    flags = trials["target"].map({True: "1", False: "0"})
    text = "\n".join(trials["enroll"] + " " + trials["test"] + " " + flags) + "\n"
    heard = manifest["utterance_id"].isin(set(trials["enroll"]) | set(trials["test"]))
    return {
        "name": name,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "trials": len(trials),
        "speakers": int(manifest.loc[heard, "speaker"].nunique()),
    }
