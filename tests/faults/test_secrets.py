"""Credentials in every place where they can stand, and a search for them in all that a run leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import SMALLER
from tests.faults.summary import keep
from tests.regression.tiny import make_tiny_project, run, set_params

SECRET = "hunter2" + "-"  # each place has its own ending; not whole in this file, which is searched too
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_SESSION_TOKEN": "c",
    "MLFLOW_TRACKING_USERNAME": "d",
    "MLFLOW_TRACKING_PASSWORD": "e",
    "MLFLOW_TRACKING_TOKEN": "f",
    "VOXCELEB_USER": "g",
    "VOXCELEB_PASSWORD": "h",
    "HF_TOKEN": "i",
    "GITHUB_TOKEN": "j",
}
AWAY = "http://ann:{}@127.0.0.1:9"  # the discard port: nobody listens
IN_PARAMS = {
    "voxceleb1.archives": AWAY,
    "download.mirrors": {"https://example.org/": AWAY},
    "tune.storage": "s3://key:{}@bucket/states",
    "tune.data": "s3://bucket/data?secret_key={}",
}


def places(folder: Path) -> dict[str, bytes]:
    """All that a project holds: its files, and what git has packed; params.yaml itself is the user's."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git/" not in path.as_posix()
    }
    objects = ["git", "cat-file", "--batch-all-objects", "--batch"]
    found[".git"] = subprocess.run(objects, cwd=folder, capture_output=True, check=True).stdout
    return found


def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables, and a remote of git and one of DVC with a password."""
    for name, ending in VARIABLES.items():
        monkeypatch.setenv(name, SECRET + ending)
    run(folder, "git", "remote", "add", "origin", f"https://me:{SECRET}k@git.example.org/laspa.git")


def check(folder: Path, *said: str) -> int:
    """Search for the secrets; how many places were searched."""
    everything = places(folder) | {f"output {number}": text.encode() for number, text in enumerate(said)}
    assert [name for name, content in everything.items() if SECRET.encode() in content] == []
    return len(everything)


@pytest.mark.parametrize("name", IN_PARAMS)
def test_params_with_credentials_are_refused_without_showing_them(name: str, tmp_path: Path) -> None:
    from laspa.errors import LaspaError
    from laspa.params import load_params

    (tmp_path / "params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
    value = IN_PARAMS[name]
    secret = (
        {key: text.format(SECRET) for key, text in value.items()}
        if isinstance(value, dict)
        else value.format(SECRET)
    )
    set_params(tmp_path, {name: secret})
    with pytest.raises(LaspaError, match=rf"{name}.* holds a password, token or key") as refused:
        load_params(tmp_path / "params.yaml")
    assert SECRET not in str(refused.value)


@pytest.mark.faults
def test_a_run_leaves_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tiny_project(tmp_path / "project", SMALLER)
    started(folder, monkeypatch)
    said = [run(folder, "dvc", "repro").stdout]
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "Results")
    # And once more with a store that is away, whose address has a password.
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", AWAY.format(SECRET + "l"))
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        program = (
            "from pipelines.tracking import runs; from laspa.params import load_params\n"
            "runs.SERVER_PATIENCE_SECONDS = 1.0\n"
            "with runs.start_run('x', 'train', load_params('params.yaml').resolve('laspa')) as run:\n"
            "    run.set_tag('a', 'b')\n"
        )
        command = [sys.executable, "-c", program]
        away = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
    said += [away.stdout, away.stderr]
    assert "does not take records" in away.stderr
    for words in (
        ("laspa", "register"),
        ("laspa", "corpus", "plan", "voxceleb1"),
        ("laspa", "embed", "data/raw"),
    ):
        said.append(run(folder, "python", "-m", "laspa.cli.main", *words[1:], check=False).stdout)
    keep("secrets", secrets=len(VARIABLES) + 2 + len(IN_PARAMS), places_searched=check(folder, *said))
