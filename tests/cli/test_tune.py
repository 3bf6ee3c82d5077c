"""`laspa tune`: params.yaml changed in place, and the command of an experiment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from laspa.cli.main import main
from laspa.cli.tune import with_values
from laspa.params import load_params

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
BEST = {"prefix_len": 16, "loss_weights.nll": 0.1234, "train.learning_rate": 1e-05, "model.fusion": "concat"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reports/tune").mkdir(parents=True)
    (tmp_path / "reports/tune/best.yaml").write_text(yaml.safe_dump(BEST), encoding="utf-8")
    (tmp_path / "params.yaml").write_bytes(PARAMS_FILE.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_apply_changes_the_values_and_nothing_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = PARAMS_FILE.read_text(encoding="utf-8").splitlines()
    assert main(["tune", "apply"]) == 0
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == len(BEST)
    comment = "# learnable tokens in front of K and V; 0 turns them off"
    assert (f"prefix_len: 8            {comment}", f"prefix_len: 16           {comment}") in changed
    loaded = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert loaded["loss_weights"]["nll"] == 0.1234
    assert loaded["train"]["learning_rate"] == 1e-05
    assert "prefix_len: 8 → 16" in capsys.readouterr().out
    assert main(["tune", "apply"]) == 0
    assert (project / "params.yaml").read_text(encoding="utf-8").splitlines() == after
    assert "prefix_len: 16, as before" in capsys.readouterr().out


def test_apply_changes_a_value_where_the_chosen_system_has_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plus = PARAMS_FILE.read_text(encoding="utf-8").replace("  system: laspa\n", "  system: laspa_plus\n", 1)
    (project / "params.yaml").write_text(plus, encoding="utf-8")
    (project / "reports/tune/best.yaml").write_text("train.warp: 0.125\ntrain.margin_warmup_share: 0.25\n")
    assert main(["tune", "show"]) == 0
    assert capsys.readouterr().out == (
        "dvc exp run -S systems.laspa_plus.train.warp=0.125 -S train.margin_warmup_share=0.25\n"
    )
    assert main(["tune", "apply"]) == 0
    assert capsys.readouterr().out == "train.warp: 0.04 → 0.125\ntrain.margin_warmup_share: 0.3 → 0.25\n"
    params = load_params("params.yaml")
    assert (params.train.warp, params.train.margin_warmup_share) == (0, 0.25)
    assert params.systems["laspa_plus"]["train"] == {"warp": 0.125, "bend": 0.015}


def test_apply_sets_a_value_that_a_yaml_merge_brings_beside_the_merge(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PARAMS_FILE.read_text(encoding="utf-8").replace(
        "laspa_plus: {train: {warp: 0.04,", "laspa_plus: {train: {<<: {warp: 0.04},", 1
    )
    text = text.replace("  system: laspa\n", "  system: laspa_plus\n", 1)
    (project / "params.yaml").write_text(text, encoding="utf-8")
    (project / "reports/tune/best.yaml").write_text("train.warp: 0.125\n")
    assert main(["tune", "apply"]) == 0
    assert capsys.readouterr().out == "train.warp: 0.04 → 0.125\n"
    assert load_params("params.yaml").systems["laspa_plus"]["train"] == {"warp": 0.125, "bend": 0.015}


def test_show_prints_the_command_of_an_experiment(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "show"]) == 0
    words = capsys.readouterr().out.split()
    assert words[:3] == ["dvc", "exp", "run"]
    settings = dict(word.split("=") for word in words[4::2])
    assert set(words[3::2]) == {"-S"}
    assert {name: yaml.safe_load(value) for name, value in settings.items()} == BEST


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        ("prefix_len: 9999", "best.yaml: prefix_len is 9999 but should be from 0 to 512"),
        ("prefixlen: 4", "best.yaml: unknown key prefixlen; the nearest known key is prefix_len"),
        ("num_heads: 3", "best.yaml: num_heads is 3 but must divide model.attention_dim, 4"),
        ("[1, 2]", "best.yaml is [1, 2] but should hold dotted names and values"),
        ("a: [", "best.yaml: not valid YAML"),
        (None, "best.yaml: no such file; run the sweep (laspa tune)"),
    ],
)
def test_best_params_that_do_not_fit_change_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], best: str | None, expected: str
) -> None:
    file = project / "reports/tune/best.yaml"
    file.unlink() if best is None else file.write_text(best, encoding="utf-8")
    assert main(["tune", "apply"]) == 2
    assert expected in capsys.readouterr().err
    assert (project / "params.yaml").read_bytes() == PARAMS_FILE.read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {b: 1, c: 22}  # both\n", "a: {b: 10, c: 2}  # both\n"),
        ("a:\n  b: 1 # tight\n  c: 'x y'\n", "a:\n  b: 10 # tight\n  c: 2\n"),
        ("a:\n  c: 2.5e-3      # wide\n  b: 1", "a:\n  c: 2           # wide\n  b: 10"),
    ],
)
def test_values_are_replaced_in_place(text: str, expected: str) -> None:
    assert with_values(text, {"a.b": 10, "a.c": 2}) == expected


def run(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command in a new process, so that it imports the project's modules, not this checkout's."""
    command = [sys.executable, "-c", "import sys; from laspa.cli.main import main; sys.exit(main())"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*command, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_a_sweep_runs_in_a_checkout_alone_and_ends_as_its_script_does(project: Path) -> None:
    ended = run(project, "tune")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pipelines/tune.py: no such file; it is a part of the project around laspa" in ended.stderr
    (project / "pipelines").mkdir()
    (project / "pipelines/__init__.py").touch()
    (project / "pipelines/tune.py").write_text(
        "import sys\ncommand = lambda: sys.exit(3)\n", encoding="utf-8"
    )
    script = "def command(): open('ran', 'w').close(); print('done')\n"
    (project / "pipelines/confirm.py").write_text(script, encoding="utf-8")
    assert run(project, "tune").returncode == 3
    ended = run(project, "tune", "confirm")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert (project / "ran").exists()
    fault = "from pipelines import stage\ncommand = lambda: stage.run(main)\n"
    fault += "def main(): raise FileNotFoundError(2, 'No such file', 'data/a.parquet')\n"
    (project / "pipelines/tune.py").write_text(fault, encoding="utf-8")
    (project / "pipelines/stage.py").write_bytes((PARAMS_FILE.parent / "pipelines/stage.py").read_bytes())
    ended = run(project, "tune")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: data/a.parquet: No such file; make it (dvc repro)")
