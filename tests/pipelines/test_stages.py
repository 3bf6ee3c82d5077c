"""dvc.yaml tells the truth: each stage lists the code it runs and the params it reads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from laspa.params import load_params

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Stages that are run on demand, each a DVC project of its own two folders down.
ON_DEMAND = {
    f"{study}/{name}": stage.get("do", stage)
    for study in ("tune", "prefix_heads", "results")
    for name, stage in yaml.safe_load((ROOT / f"studies/{study}/dvc.yaml").read_text().replace("../../", ""))[
        "stages"
    ].items()
}

# How files are written and errors shown changes no output, and params are listed by key.
PLUMBING = {
    "laspa/__init__.py",
    "laspa/errors.py",
    "laspa/files.py",
    "laspa/progress.py",
    "laspa/redaction.py",
}
PLUMBING |= {str(path.relative_to(ROOT)) for path in (ROOT / "laspa/params").iterdir()}
PLUMBING |= {"laspa/redaction.py"}
# Nor does how a corpus is fetched: its checksums hold what comes.
PLUMBING |= {
    "laspa/corpora/download/fetch.py",
    "laspa/corpora/download/transfer.py",
    "laspa/corpora/download/archives.py",
}
PLUMBING |= {"pipelines/__init__.py", "pipelines/stage.py"}
PLUMBING |= {f"pipelines/tracking/{name}.py" for name in ("metrics", "runs", "tracked_run")}


def module_file(name: str) -> Path | None:
    path = ROOT / Path(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def imported(path: Path) -> set[Path]:
    found = set()
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
    seen, waiting = set(), {script}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        if str(path.relative_to(ROOT)) not in PLUMBING:
            waiting |= imported(path) - seen
    return {str(path.relative_to(ROOT)) for path in seen} - PLUMBING


@pytest.mark.parametrize("name", STAGES | ON_DEMAND)
def test_a_stage_depends_on_the_code_it_runs_and_on_no_other(name):
    stage = (STAGES | ON_DEMAND)[name]
    scripts = [module_file(module) for module in re.findall(r" -m ([\w.]+)", f"{stage['cmd']} ")]
    code = set().union(*map(code_of, scripts))
    listed = [dep for dep in stage["deps"] if dep.startswith(("laspa", "pipelines"))]
    needed = {file for file in code if not file.endswith("/__init__.py")}
    missing = {
        file for file in needed if not any(file == dep or file.startswith(f"{dep}/") for dep in listed)
    }
    idle = {dep for dep in listed if not any(file == dep or file.startswith(f"{dep}/") for file in code)}
    assert not missing, f"dvc.yaml: stage {name} runs code that it does not depend on"
    assert not idle, f"dvc.yaml: stage {name} depends on code that it does not run"


def test_the_matrix_runs_the_systems_that_params_describe():
    systems = load_params(ROOT / "params.yaml").systems
    assert STAGES["ablate"]["matrix"]["system"] == list(systems)
