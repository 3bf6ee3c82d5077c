"""How a stage starts and ends: one clear line for bad input, and where the project's root is."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from pipelines import stage


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LaspaError("params.yaml: seed is -1"), ["error: params.yaml: seed is -1"]),
        (
            OSError(28, "No space left on device", "data/a.parquet"),
            ["data/a.parquet", "No space left", "again"],
        ),
        (OSError(5, "Input/output error"), ["writing: Input/output error"]),
        (
            FileNotFoundError("data/labels.parquet"),
            ["data/labels.parquet: no such file; make it (dvc repro) and run"],
        ),
        (
            OSError("Couldn't deserialize thrift:\n no more data"),
            ["thrift: no more data; nothing half-written"],
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            ["error: writing: No space left on device; ", "run again"],
        ),
        (RuntimeError("I/O error: File too large (os error 27)"), ["error: writing: File too large; "]),
        (KeyboardInterrupt(), ["interrupted", "run again"]),
    ],
)
def test_bad_input_ends_with_one_line(error: BaseException, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stage.run(raising(error))
    message = ended.value.code
    assert isinstance(message, str)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        stage.run(raising(ZeroDivisionError()))


def test_the_exit_status_is_one_and_the_line_goes_to_standard_error() -> None:
    program = (
        "from laspa.errors import LaspaError\n"
        "from pipelines import stage\n"
        "def main(): raise LaspaError('a.csv: row 3')\n"
        "stage.run(main)\n"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "error: a.csv: row 3\n")


def test_the_root_is_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert stage.project_root() == tmp_path


def test_the_root_of_a_temporary_experiment_is_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1a2b"
    workspace.mkdir(parents=True)
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert stage.project_root() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    assert stage.project_root() == tmp_path


def test_a_model_to_start_from_is_relative_to_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    changes = {"train.resume": "weights-only", "train.weights_from": "../pre/model"}
    started = with_overrides(params, changes)
    workspace = tmp_path / "project/.dvc/tmp/exps/tmp1a2b"
    workspace.mkdir(parents=True)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(
        LaspaError, match=r"weights_from is '\.\./pre/model', but .*/pre/model holds no model"
    ):
        stage.from_root(started)
    (tmp_path / "pre/model").mkdir(parents=True)
    (tmp_path / "pre/model/model.safetensors").touch()
    for place in (workspace, tmp_path / "project"):
        monkeypatch.chdir(place)
        assert stage.from_root(started).train.weights_from == str(tmp_path / "pre/model")
    assert stage.from_root(params) == params


def test_a_stage_ends_with_the_dvc_that_runs_it(tmp_path: Path) -> None:
    """Its workers too: those would meet the next run in their files."""
    program = (
        "import multiprocessing, time\nfrom pathlib import Path\nfrom pipelines import stage\n"
        "fork = multiprocessing.get_context('fork')\n"
        "def main():\n    child = fork.Process(target=time.sleep, args=(60,))\n"
        f"    child.start()\n    Path({str(tmp_path / 'child')!r}).write_text(f'{{child.pid}}\\n')\n"
        "    time.sleep(60)\nstage.run(main)\n"
    )
    starter = (
        "import os, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {program!r}], env={{**os.environ, 'DVC_STAGE': 'x'}})\n"
    )
    root = Path(__file__).parents[2]
    dvc = subprocess.Popen([sys.executable, "-c", starter], cwd=root)
    deadline = time.monotonic() + 60
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes = psutil.Process(dvc.pid).children(recursive=True)
    assert int((tmp_path / "child").read_text()) in [one.pid for one in processes]
    dvc.kill()
    dvc.wait()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive


def test_a_stage_does_not_begin_without_the_dvc_that_started_it(tmp_path: Path) -> None:
    """It was killed while Python started."""
    program = (
        "import time; time.sleep(1)\nfrom pathlib import Path\nfrom pipelines import stage\n"
        f"stage.run(lambda: Path({str(tmp_path / 'begun')!r}).touch())\n"
    )
    starter = (
        "import os, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {program!r}], env={{**os.environ, 'DVC_STAGE': 'x'}})\n"
    )
    dvc = subprocess.Popen([sys.executable, "-c", starter], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not (processes := psutil.Process(dvc.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    dvc.kill()
    dvc.wait()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    assert not (tmp_path / "begun").exists()
