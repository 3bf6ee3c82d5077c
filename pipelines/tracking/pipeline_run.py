"""The run over the runs of one `dvc repro` or one experiment.

Stages are processes of their own, so each finds this run again by the tag `laspa.pipeline`: an experiment's
name, or the commit and the params of a repro. A repro that was killed and is run again continues in
the same run; after its last stage, the next repro gets a new one.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from laspa.errors import LaspaError
from laspa.files import sha256_file
from laspa.params import Params, load_params
from pipelines.stage import PARAMS_FILE, dvc_process, project_root
from pipelines.tracking.origin import git

PIPELINE_TAG, COMPLETE_TAG = "laspa.pipeline", "laspa.complete"
KIND = "pipeline"
SHORT = 7  # characters of a commit


@dataclass(frozen=True)
class Pipeline:
    """A run of DVC. name: for people. key: what its stages have in common. process: DVC's, if known."""

    name: str
    key: str
    process: psutil.Process | None


def this_pipeline() -> Pipeline | None:
    """The run of DVC that this process is a stage of; None outside DVC."""
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        return None
    process = dvc_process()
    project = _project(process)
    if experiment := os.environ.get("DVC_EXP_NAME"):
        return Pipeline(
            experiment, f"experiment {experiment} {os.environ.get('DVC_EXP_BASELINE_REV', '')}", process
        )
    commit = git("rev-parse", "HEAD")
    params = sha256_file(PARAMS_FILE) if PARAMS_FILE.exists() else ""
    return Pipeline(f"{project} {commit[:SHORT]}".strip(), f"{project} {commit} {params}", process)


def pipeline_params(default: Params) -> Params:
    """The params of params.yaml, whatever system the stage is for; `default` where they cannot be read."""
    try:
        return load_params(PARAMS_FILE).resolve()
    except LaspaError:
        return default


def open_run(client: Any, experiment: str, pipeline: Pipeline) -> Any:
    """The pipeline's run that is not complete yet, or None."""
    wanted = f"tags.`{PIPELINE_TAG}` = '{pipeline.key}'"
    found = client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"], max_results=1)
    return found[0] if found and COMPLETE_TAG not in found[0].data.tags else None


def alone() -> FileLock:
    """A lock under which to look for the run and make it: stages may start at the same time."""
    return FileLock(project_root() / "mlflow.db.lock")


def _project(process: psutil.Process | None) -> str:
    """What DVC's process runs: repro, or a study's name."""
    with suppress(psutil.Error):
        here = Path(process.cwd()) if process else project_root()
        project = next((one for one in (here, *here.parents) if (one / ".dvc").is_dir()), here)
        return "repro" if project == project_root() else project.name
    return "repro"
