"""Functions of the project around laspa, which the library does not import: by the name of an entry point."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError


def hook(group: str, name: str, extra: str) -> Callable[..., Any]:
    """The function that pyproject.toml enters under `group` and `name`.

    It is that of the checkout in the working directory, where its module is.

    Args:
        extra: of laspa, which brings the packages that the function needs.

    Raises:
        LaspaError: there is no such entry point, no such module here, or a package is missing.
    """
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        raise LaspaError(
            f"laspa is installed without its entry points {group}; install it again (make setup)"
        )
    file = Path(*found.module.split(".")).with_suffix(".py")
    if file.exists():
        sys.path.insert(0, str(Path.cwd()))
    try:
        function: Callable[..., Any] = found.load()
    except ModuleNotFoundError as error:
        project = found.module.partition(".")[0]
        if error.name and error.name.partition(".")[0] not in (project, "laspa"):
            raise LaspaError(f"this needs {error.name}: pip install 'laspa[{extra}]'") from None
        if error.name != project:
            raise
        raise LaspaError(
            f"{file}: no such file; it is a part of the project around laspa: call this in a checkout's root"
        ) from None
    return function
