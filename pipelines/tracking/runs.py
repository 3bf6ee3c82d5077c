"""Runs of MLflow: where they are kept, how they start and are reopened, their params and tags.

The store is `sqlite:///mlflow.db` at the project's root, also from inside `dvc exp run --temp`;
MLFLOW_TRACKING_URI wins. What happens while the store is away: pipelines/tracking/tracked_run.py.
"""

import json
import os
import socket
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from laspa.files import sha256_file
from laspa.params import Params
from laspa.params.dotted import flatten
from laspa.redaction import without_credentials
from pipelines.stage import project_root
from pipelines.tracking.tracked_run import TrackedRun, client_of

EXPERIMENT = "laspa"
MODEL_TAG, PROCESS_TAG = "laspa.model_sha256", "laspa.process"
RUN_KEYS = {*Params.model_fields} - {"compare", "ablate", "study", "tune"}
PARAMS_PER_CALL = 100  # MLflow's limit
CLOCK_TOLERANCE_SECONDS = 2.0  # a process's start is computed from the boot time, which clocks correct
# At a run's end, before the records that the store did not take are given up.
LOCAL_PATIENCE_SECONDS, SERVER_PATIENCE_SECONDS = 10.0, 90.0


def start_run(
    name: str,
    kind: str,
    params: Params,
    tags: dict[str, str] | None = None,
    find: dict[str, str] | None = None,
    parent_run_id: str | None = None,
    watch: bool = True,
) -> TrackedRun:
    """A new run, or the newest one with the tags `find`; `with` closes it with the status of the block's end.

    Args:
        name: of the run; a training inside `dvc exp run` has the experiment's, to be told from others.
        kind: what the run is, a stage's name: train, ablate, tune.
        parent_run_id: makes this run a nested one; give it explicitly, since a worker shares no session.
        watch: log this machine's load.
    """
    if kind == "train":
        name = os.environ.get("DVC_EXP_NAME") or name
    wanted = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in (find or {}).items())
    tags = {"laspa.kind": kind, **_origin_tags(params), **(tags or {}), **(find or {})}
    if parent_run_id is not None:
        tags["mlflow.parentRunId"] = parent_run_id

    def start() -> tuple[Any, Any]:
        client, experiment = open_store()
        _end_dead_runs(client, experiment)
        newest = ["attributes.start_time DESC"]
        found = wanted and client.search_runs([experiment], wanted, order_by=newest, max_results=1)
        if not found:
            return client, _new_run(client, experiment, name, params, tags)
        client.set_tag(found[0].info.run_id, PROCESS_TAG, _this_process())
        client.update_run(found[0].info.run_id, status="RUNNING")
        return client, found[0]

    uri = tracking_uri()
    patience = SERVER_PATIENCE_SECONDS if uri.startswith("http") else LOCAL_PATIENCE_SECONDS
    return TrackedRun(uri, start, patience, watch)


def run_of_model(sha256: str, params: Params) -> TrackedRun:
    """The newest run that made the model with this digest, reopened; a new run where there is none.

    So a model's losses, params and error rates are in one row, and ticking two rows compares them.
    """
    return start_run("evaluation", "evaluate", params, find={MODEL_TAG: sha256})


def open_store() -> tuple[Any, str]:
    """MLflow's client and the experiment's id; the first process that calls it makes the database.

    Call it before starting workers: making the database takes seconds, for which they would all wait.
    """
    uri = tracking_uri()
    local = uri.startswith("sqlite:")
    database = Path(uri.removeprefix("sqlite:///")).resolve()
    with FileLock(f"{database}.lock") if local else nullcontext():
        client = client_of(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            artifacts = (database.parent / "mlartifacts").as_uri() if local else None
            try:
                return client, str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
            except Exception:  # another process may have been faster: no lock of ours covers a server
                found = client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return client, str(found.experiment_id)


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the database at the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root() / 'mlflow.db'}"


def flat_params(params: Params, keys: set[str] = RUN_KEYS) -> dict[str, str]:
    """Params by dotted name, as text; by default without the sections that describe many runs."""
    flat = flatten(params.model_dump(include=keys))
    return {
        name: without_credentials(value if isinstance(value, str) else json.dumps(value))
        for name, value in flat.items()
    }


def _new_run(client: Any, experiment: str, name: str, params: Params, tags: dict[str, str]) -> Any:
    from mlflow.entities import Param

    tags = {key: without_credentials(value) for key, value in tags.items()}
    created = client.create_run(experiment, tags=tags | {PROCESS_TAG: _this_process()}, run_name=name)
    items = [Param(key, value) for key, value in flat_params(params).items()]
    for first in range(0, len(items), PARAMS_PER_CALL):
        client.log_batch(created.info.run_id, params=items[first : first + PARAMS_PER_CALL])
    return created


def _origin_tags(params: Params) -> dict[str, str]:
    """Code, experiment and data that a run comes from; what is not known is left out."""
    tags = {"laspa.corpus": ", ".join(params.corpora), "mlflow.source.git.commit": _git("rev-parse", "HEAD")}
    if tags["mlflow.source.git.commit"]:
        # What the pipeline itself writes into tracked files makes no difference to what a run computed.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock", ":!reports")
        tags["laspa.git_dirty"] = str(bool(changed)).lower()
    tags |= {name: os.environ.get(name, "") for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")}
    manifest, features = Path("data/manifest.parquet"), sorted(Path("data/features").glob("*.parquet"))
    if manifest.exists():
        tags["laspa.corpus_sha256"] = sha256_file(manifest)
    if features:
        import pyarrow.parquet as pq

        metadata = pq.read_schema(features[0]).metadata or {}
        tags["laspa.features_digest"] = metadata.get(b"laspa.digest", b"").decode()
    return {name: value for name, value in tags.items() if value}


def _git(*arguments: str) -> str:
    """Git's answer, or nothing where there is no git or no repository."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def _end_dead_runs(client: Any, experiment: str) -> None:
    """Mark runs KILLED whose process on this machine was killed and so could not end them."""
    for running in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        host, _, process = running.data.tags.get(PROCESS_TAG, "").partition(":")
        if host != socket.gethostname() or _alive(*process.split(":")):
            continue
        # It may have ended in order since the search; a process that is gone changes it no more.
        if client.get_run(running.info.run_id).info.status == "RUNNING":
            client.set_terminated(running.info.run_id, "KILLED")


def _alive(process: str, born: str) -> bool:
    try:
        return bool(abs(psutil.Process(int(process)).create_time() - float(born)) < CLOCK_TOLERANCE_SECONDS)
    except psutil.Error:
        return False
