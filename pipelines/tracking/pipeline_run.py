"""The run over the runs of one `dvc repro` or one experiment.

Stages are processes of their own, so each finds this run again by the tag `laspa.pipeline`: an experiment's
name, or the commit and the params of a repro. A repro that was killed and is run again continues in
the same run; after its last stage, the next repro gets a new one.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from laspa.files import sha256_file
from pipelines.stage import PARAMS_FILE, dvc_process, project_root
from pipelines.tracking.origin import git

SHORT = 7  # characters of a commit


class Pipeline(NamedTuple):
    """A run of DVC. name: for people. key: what its stages have in common. process: DVC's, if known."""

    name: str
    key: str
    process: psutil.Process | None


def this_pipeline() -> Pipeline | None:
    """The run of DVC that this process is a stage of; None outside DVC."""
    if not os.environ.get("DVC_STAGE"):
        return None
    process = dvc_process()
    if experiment := os.environ.get("DVC_EXP_NAME"):
        revision = os.environ.get("DVC_EXP_BASELINE_REV", "")
        return Pipeline(experiment, f"experiment {experiment} {revision}", process)
    project = _project(process)
    commit = git("rev-parse", "HEAD")
    params = sha256_file(PARAMS_FILE) if PARAMS_FILE.exists() else ""
    return Pipeline(f"{project} {commit[:SHORT]}".strip(), f"{project} {commit} {params}", process)


def _project(process: psutil.Process | None) -> str:
    """What DVC's process runs: repro, or a study's name."""
    with suppress(psutil.Error):
        here = Path(process.cwd()) if process else project_root()
        project = next((one for one in (here, *here.parents) if (one / ".dvc").is_dir()), here)
        return "repro" if project == project_root() else project.name
    return "repro"
