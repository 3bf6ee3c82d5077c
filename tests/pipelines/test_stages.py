"""dvc.yaml tells the truth: each stage lists the code that decides what it writes."""

import ast
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from laspa.errors import LaspaError
from laspa.models.losses import TERMS
from laspa.params import SYSTEM_KEYS, load_params
from pipelines import systems
from tests.regression.tiny import set_params

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Stages that run on demand, each study a DVC project two folders down.
ON_DEMAND = {
    f"{study.parent.name}/{name}": stage.get("do", stage)
    for study in sorted((ROOT / "studies").glob("*/dvc.yaml"))
    for name, stage in yaml.safe_load(study.read_text().replace("../../", ""))["stages"].items()
    if " -m " in str(stage)  # the other stages of studies/adapt call `laspa` as a user does
}
# What changes no output: how files are written, text decoded and shown, params read (listed by key), runs
# tracked, work spread over processes, pages of data checks drawn (they are no outputs). The checksums hold a
# fetched corpus, the stage that wrote a table the table, and the stage `systems` the params of a run.
PLUMBING = (
    *("laspa/arithmetic.py", "laspa/errors.py", "laspa/files.py", "laspa/progress.py"),
    *("laspa/redaction.py", "laspa/params/", "laspa/text.py", "laspa/terminal.py"),
    "laspa/worker_processes.py",
    *("laspa/corpora/download/", "laspa/manifest/tables.py", "laspa/manifest/index.py"),
    *("laspa/features/store.py", "laspa/report/html.py"),
    *("pipelines/stage.py", "pipelines/tracking/", "pipelines/ray/"),
)
RESOLVED = "pipelines/systems.py"


def module_file(name: str) -> Path | None:
    path = ROOT / Path(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def imported(path: Path) -> set[Path]:
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {file for name in names if (file := module_file(name))}
    return found


def code_of(script: Path) -> set[str]:
    """What the script runs, without plumbing: its own imports, those of these, and so on."""
    seen: set[Path] = set()
    waiting = {script}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        if not str(path.relative_to(ROOT)).startswith(PLUMBING):
            waiting |= imported(path) - seen
    names = {str(path.relative_to(ROOT)) for path in seen}
    return {name for name in names if not name.startswith(PLUMBING) and not name.endswith("__init__.py")}


def scripts(stage: dict[str, Any]) -> list[Path]:
    commands = [stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"]
    found = [module_file(command.partition(" -m ")[2].split()[0]) for command in commands]
    return [script for script in found if script]


def test_dvc_finds_the_params_of_each_study() -> None:
    """A name by itself is a key of the study's own params.yaml; another file is a mapping."""
    for name, stage in ON_DEMAND.items():
        for entry in stage.get("params", []):
            assert isinstance(entry, dict), f"{name}: {entry}"
            assert list(entry) == ["params.yaml"]


@pytest.mark.parametrize("name", STAGES | ON_DEMAND)
def test_a_stage_depends_on_the_code_it_runs_and_on_no_other(name: str) -> None:
    stage = (STAGES | ON_DEMAND)[name]
    listed = [dep for dep in stage["deps"] if dep.startswith(("laspa", "pipelines"))]
    needed = set().union(*map(code_of, scripts(stage)))
    if RESOLVED not in listed:
        needed.discard(RESOLVED)
    covered = {dep: {code for code in needed if code == dep or code.startswith(f"{dep}/")} for dep in listed}
    missing = needed - set().union(*covered.values())
    assert not missing, f"stage {name} runs code that it does not depend on"
    idle = [dep for dep, code in covered.items() if not code]
    assert not idle, f"stage {name} depends on code that it does not run"


def test_stages_list_rooms_not_files() -> None:
    for name, stage in (STAGES | ON_DEMAND).items():
        assert not [dep for dep in stage["deps"] if dep.startswith("laspa/") and dep.endswith(".py")], name


def test_dvc_plots_every_loss_term() -> None:
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    losses = next(plot["Losses"] for plot in plots if "Losses" in plot)
    assert losses["y"]["reports/plots/training.csv"] == list(TERMS)


def test_metrics_json_is_the_only_metric() -> None:
    metrics = [metric for stage in STAGES.values() for metric in stage.get("metrics", [])]
    assert metrics == [{"reports/metrics.json": {"cache": False}}]


def test_dvc_takes_the_systems_from_params() -> None:
    assert all(STAGES[name]["matrix"]["system"] == "${compare}" for name in ("train", "evaluate"))
    params = load_params(ROOT / "params.yaml")
    assert params.system in params.compare
    assert set(params.ablate.systems) == set(params.systems)


def test_a_training_depends_on_the_params_of_its_system_alone() -> None:
    assert "params" not in STAGES["train"]
    assert "data/systems/${item.system}.json" in STAGES["train"]["deps"]
    assert STAGES["systems"]["deps"] == [RESOLVED, "params.yaml"]


@pytest.mark.parametrize("name", ["ablation/system", "prefix_heads/cell"])
def test_studies_list_all_that_a_system_is_made_of(name: str) -> None:
    listed = {key.partition(".")[0] for key in ON_DEMAND[name]["params"][0]["params.yaml"]}
    varied = {"prefix_len", "num_heads"} if name == "prefix_heads/cell" else set()
    assert listed == {*SYSTEM_KEYS, "systems", "ablate", "evaluate"} - varied


@pytest.mark.parametrize(
    ("change", "trained_again"),
    [
        ({"prefix_len": 16}, {"laspa", "laspa_plus"}),
        ({"model.decoder_dim": 32}, {"laspa", "laspa_plus"}),
        ({"aam_margin": 0.2}, {"laspa", "laspa_plus", "baseline"}),
        ({"train.epochs": 2}, {"laspa", "laspa_plus", "baseline"}),
        ({"systems.laspa_plus.train.warp": 0.1}, {"laspa_plus"}),
        ({"systems.grl.loss_weights.grl": 0.2}, set()),
        ({"evaluate.bootstrap": 500}, set()),
        ({"system": "laspa"}, set()),
    ],
)
def test_an_experiment_trains_what_reads_the_changed_param(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], trained_again: set[str]
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    systems.main()
    before = {path.stem: path.read_bytes() for path in systems.FOLDER.iterdir()}
    set_params(tmp_path, change)
    systems.main()
    after = {path.stem: path.read_bytes() for path in systems.FOLDER.iterdir()}
    assert {name for name in before if before[name] != after[name]} == trained_again


def test_the_default_has_to_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    set_params(tmp_path, {"system": "grl"})
    with pytest.raises(LaspaError, match=r"system is 'grl' but should be one of .*, or add it to compare"):
        systems.main()
    with pytest.raises(LaspaError, match="compare is 'grl' but should be one of laspa_plus, laspa, baseline"):
        systems.read_run("grl")
