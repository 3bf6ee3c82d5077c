"""A copy of the project in a folder of its own, with the tiny profile in its params.

For tests of the whole pipeline: the copy is a git repository with one commit, holds what git
tracks here (changes that are not committed yet included) and shares nothing with this checkout.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from laspa.params.dotted import put

ROOT = Path(__file__).parents[2]
PROFILE = Path(__file__).with_name("tiny.yaml")
# What would tie the copy's runs to this checkout, or to where its user tracks and caches.
FOREIGN_VARIABLES = ("GIT_", "DVC_", "MLFLOW_", "PYTEST_", "RAY_ADDRESS")

# Overrides for tests that look at how the pipeline runs, not at what it measures.
SMALLEST = {
    "synthetic.train_speakers": 12,
    "synthetic.dev_speakers": 4,
    "synthetic.test_speakers": 8,
    "synthetic.train_utterances": 4,
    "train.epochs": 2,
}


def round_trip() -> YAML:
    """A reader and writer that keeps comments; one for each use, since it has a state."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 200
    return yaml


def make_tiny_project(folder: Path, overrides: dict[str, Any] | None = None) -> Path:
    """The tiny project under `folder`, its params changed by dotted names on top of the profile."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        # What stages have made in this checkout is not part of the copy.
        made = name == "dvc.lock" or (name.startswith("reports/") and name != "reports/study.json")
        if (ROOT / name).is_file() and not made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    set_params(folder, round_trip().load(PROFILE)["params"] | (overrides or {}))
    identity = ["-c", "user.name=Tiny", "-c", "user.email=tiny@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "The tiny profile"]):
        run(folder, "git", *command)
    for key, value in (("user.name", "Tiny"), ("user.email", "tiny@example.org")):
        run(folder, "git", "config", key, value)
    return folder


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Write dotted names into params.yaml, its comments kept."""
    file, yaml = folder / "params.yaml", round_trip()
    params = yaml.load(file)
    for dotted, value in changes.items():
        try:
            put(params, dotted, value)
        except KeyError:
            raise KeyError(f"params.yaml has no {dotted}") from None
    yaml.dump(params, file)


def drop_stages(folder: Path, stages: list[str]) -> None:
    """Leave these stages, and what plots they make, out of dvc.yaml."""
    yaml = round_trip()
    graph = yaml.load(folder / "dvc.yaml")
    for stage in stages:
        del graph["stages"][stage]
    graph.pop("plots", None)
    yaml.dump(graph, folder / "dvc.yaml")


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in the copy, `python` and `dvc` being those of this interpreter; output is one text.

    Raises:
        AssertionError: the command failed (its output is the message), unless `check` is off.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_VARIABLES)
    }
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    if command[0] == "dvc":
        command = (sys.executable, "-m", *command)
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not check or ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout[-6000:]}"
    return ended
