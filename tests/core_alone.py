"""Run Python code as if only an unpacked wheel and the packages that its core requires were installed.

Usage: python core_alone.py FOLDER CODE ARGUMENTS…
"""

import re
import sys
from importlib.metadata import packages_distributions, requires
from typing import Any


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def required(name: str, installed: set[str], seen: set[str]) -> set[str]:
    """The installed packages that `name` requires, without extras, directly or through others."""
    seen.add(name)
    for line in requires(name) or []:
        needed = normal(re.split(r"[^\w.-]", line)[0])
        if "extra ==" not in line and needed in installed - seen:
            required(needed, installed, seen)
    return seen


class Hidden:
    """Finds no module of the packages that the core does not require."""

    def __init__(self) -> None:
        packages = packages_distributions()
        self.providers = {module: set(map(normal, names)) for module, names in packages.items()}
        self.core = required("laspa", set().union(*self.providers.values()), set())

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if self.providers.get(name, self.core).isdisjoint(self.core):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    _, folder, code, *arguments = sys.argv
    sys.path[0] = folder
    sys.meta_path.insert(0, Hidden())  # type: ignore[arg-type]
    sys.argv = ["laspa", *arguments]
    exec(code)
