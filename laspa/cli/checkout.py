"""What commands need of the pipeline around them, which the library does not import."""

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError


def of_checkout(group: str, name: str, why: str) -> Any:
    """The object of the checkout that this is called in which the entry point `name` of `group` names.

    Raises:
        LaspaError: called elsewhere, or laspa is installed without its entry points.
    """
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        raise LaspaError(f"laspa is installed without its entry points {group}; install it again")
    file = Path(*found.module.split(".")).with_suffix(".py")
    if not file.exists():
        raise LaspaError(f"{file}: no such file; {why}: call this in a checkout's root")
    sys.path.insert(0, str(Path.cwd()))
    return found.load()
