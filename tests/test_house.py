"""Rules for the whole repository: short modules, style, types, imports, nothing that names one machine."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
import yaml

import laspa

ROOT = Path(__file__).parents[1]
LONGEST_MODULE = 400  # lines; past it a module is more than one idea
LARGEST_TEXT = 1_000_000  # bytes; what is larger is data
# Absolute paths that exist on one machine only: a user's or a working folder.
MACHINE_PATH = re.compile(r"(?<![\w.])/(root|work|home/\w+|Users/\w+)/\w")
CODE = ("laspa", "pipelines")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_modules_are_short() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in tracked("*.py")}
    assert lengths
    too_long = {
        str(file.relative_to(ROOT)): lines for file, lines in lengths.items() if lines > LONGEST_MODULE
    }
    assert not too_long


def test_nothing_names_a_path_of_one_machine() -> None:
    assert MACHINE_PATH.search('data = "/home/ann/corpora"')
    assert not MACHINE_PATH.search("$ROOT/work/files, https://a.org/home/page/x, ../root/x")
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in tracked()
        if file.stat().st_size < LARGEST_TEXT and file != Path(__file__)
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in tracked(*CODE)
        if file.suffix == ".py" and not file.read_text(encoding="utf-8").startswith('"""')
    ]
    assert not silent


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == laspa.__version__


def test_every_imported_package_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w.-]", name)[0].lower().replace("_", "-") for name in names}
    code = [ast.parse(file.read_text(encoding="utf-8")) for file in tracked(*CODE) if file.suffix == ".py"]
    nodes = list(chain.from_iterable(map(ast.walk, code)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {name.split(".")[0] for name in imported} - sys.stdlib_module_names - set(CODE)
    providers = packages_distributions()
    undeclared = {
        name
        for name in foreign
        if not declared & {provider.lower().replace("_", "-") for provider in providers.get(name, [name])}
    }
    assert not undeclared


@pytest.mark.parametrize("tool", ["ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo"])
def test_style_types_and_imports(tool: str) -> None:
    name, *options = tool.split()
    command = [Path(sysconfig.get_path("scripts"), name), *options]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[-4000:] + checked.stderr[-2000:]
