"""The index of raw recordings that the stage download writes: its files, and how to read them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from laspa.files import parsed, read_json

INDEX_COLUMNS = ["path", "speaker", "language", "gender", "split"]
UNDETERMINED = "und"  # ISO 639-3 for a recording without a language: the stage label may find one
INDEX_FILE = "index.csv"
FOLDERS_FILE = "folders.json"  # folders of recordings that are not beside the index
LISTS_FOLDER = "lists"  # the official trial lists, between paths of the index


def read_index(raw: Path) -> pd.DataFrame:
    """`raw`/index.csv, all columns as text.

    Raises:
        LaspaError: it is damaged.
    """
    with parsed(raw / INDEX_FILE, "an index of recordings", "run dvc repro --force --single-item download"):
        return pd.read_csv(raw / INDEX_FILE, dtype=str, keep_default_na=False)


def locator(raw: Path, root: Path) -> Callable[[str], Path]:
    """A function from a path in `raw`/index.csv to the file.

    Args:
        root: of the project: folders in `raw`/folders.json are relative to it.
    """
    folders = read_json(raw / FOLDERS_FILE) if (raw / FOLDERS_FILE).exists() else {}

    def locate(path: str) -> Path:
        key, _, rest = path.partition("/")
        return root / folders[key] / rest if key in folders else raw / path

    return locate
