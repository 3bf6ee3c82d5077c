"""pipelines/python: a stage finds an interpreter with its packages, also where no environment is active."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.test_stages import ON_DEMAND, ROOT, STAGES

LAUNCHER = Path("pipelines/python")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of which only the launcher is there, and beside it a `python` without packages on PATH."""
    folder = tmp_path / "a checkout"
    put_launcher(folder)
    script(tmp_path / "system/python", "exit 1")
    return folder


def put_launcher(folder: Path) -> None:
    (folder / LAUNCHER.parent).mkdir(parents=True)
    shutil.copy2(ROOT / LAUNCHER, folder / LAUNCHER)


def script(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)


def python(file: Path, name: str) -> None:
    """This interpreter, which also says by which name it was called."""
    script(file, f"NAME={name} exec '{sys.executable}' \"$@\"")


def launch(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """What `pipelines/python` says that it was, with one folder before the system's on PATH."""
    environment = os.environ | {"PATH": f"{path}:/usr/bin:/bin"}
    command = [LAUNCHER, "-c", "import os, sys; print(os.environ['NAME'], sys.argv[1])", "two words"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_an_active_environment_it_is_that_of_the_checkout(checkout: Path) -> None:
    python(checkout / ".venv/bin/python", "venv")
    assert launch(checkout, checkout.parent / "system").stdout == "venv two words\n"


def test_an_active_environment_comes_first(checkout: Path) -> None:
    python(checkout / ".venv/bin/python", "venv")
    python(checkout.parent / "active/python", "active")
    assert launch(checkout, checkout.parent / "active").stdout == "active two words\n"


def test_a_temporary_experiment_uses_that_of_the_checkout(checkout: Path) -> None:
    python(checkout / ".venv/bin/python", "venv")
    copy = checkout / ".dvc/tmp/exps/standalone/tmpa1"
    put_launcher(copy)
    assert launch(copy, checkout.parent / "system").stdout == "venv two words\n"


def test_without_any_the_user_is_told_what_to_do(checkout: Path) -> None:
    ended = launch(checkout, checkout.parent / "system")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "make setup" in line


@pytest.mark.parametrize("name", STAGES | ON_DEMAND)
def test_every_stage_is_started_by_it(name: str) -> None:
    command = (STAGES | ON_DEMAND)[name]["cmd"]
    for line in [command] if isinstance(command, str) else command:
        assert "pipelines/python -m pipelines." in line
