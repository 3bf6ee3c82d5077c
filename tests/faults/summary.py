"""What the campaign tried and found, by part, in one JSON that docs/reliability.md cites."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

from laspa.files import read_json, write_text

SUMMARY = Path(__file__).with_name("summary.json")
WANTED = "LASPA_FAULTS_SUMMARY"  # set by `make faults`: other runs of the tests change no file of the project


def keep(part: str, **counts: Any) -> None:
    """Enter a part's counts, if they are wanted; the other parts stay."""
    if WANTED not in os.environ:
        return
    with FileLock(Path(tempfile.gettempdir()) / "laspa-faults-summary.lock"):
        known = read_json(SUMMARY) if SUMMARY.exists() else {}
        write_text(SUMMARY, json.dumps(known | {part: counts}, indent=2, sort_keys=True) + "\n")
