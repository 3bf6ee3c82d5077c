"""Where the recordings stand that an index names: beside it, or in folders that folders.json names."""

from collections.abc import Callable
from pathlib import Path

from laspa.files import read_json

FOLDERS = "folders.json"
LISTS = "lists"  # folder of the official trial lists, between paths of the index


def locator(raw: Path, root: Path) -> Callable[[str], Path]:
    """A function from a path of `raw`/index.csv to the file.

    Args:
        root: of the project: what relative folders of `raw`/folders.json are relative to.
    """
    folders = read_json(raw / FOLDERS) if (raw / FOLDERS).exists() else {}

    def locate(path: str) -> Path:
        key, _, rest = path.partition("/")
        return root / folders[key] / rest if key in folders else raw / path

    return locate
