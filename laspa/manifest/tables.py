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


def trained_languages(manifest: pd.DataFrame) -> set[str]:
    """The languages that are heard in training."""
    return set(manifest.loc[manifest["split"] == "train", "language"])


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


def official_lists(folder: Path) -> dict[str, pd.DataFrame]:
    """The official trial lists by name: what lies beside those of the splits."""
    files = sorted(file for file in folder.glob("*.parquet") if file.stem not in ("dev", "test"))
    return {file.stem: read_trials(file) for file in files}


def trial_list_info(name: str, trials: pd.DataFrame, manifest: pd.DataFrame) -> dict[str, Any]:
    """Name, SHA-256 of the lines `enroll test 1|0`, number of trials and of speakers.

    An official list brings its digest along, of the names that it gives recordings itself.
    """
    heard = manifest["utterance_id"].isin(set(trials["enroll"]) | set(trials["test"]))
    return {
        "name": name,
        "sha256": trials.attrs.get("sha256") or _digest(trials),
        "trials": len(trials),
        "speakers": int(manifest.loc[heard, "speaker"].nunique()),
    }


def _digest(trials: pd.DataFrame) -> str:
    flags = trials["target"].map({True: "1", False: "0"})
    text = "\n".join(trials["enroll"] + " " + trials["test"] + " " + flags) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()
