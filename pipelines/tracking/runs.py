"""Runs of MLflow: where they are kept, how they start and are reopened, their params and tags.

The store is `sqlite:///mlflow.db` at the project's root, also from inside `dvc exp run --temp`;
MLFLOW_TRACKING_URI wins. What happens while the store is away: pipelines/tracking/tracked_run.py.
"""

import json
import os
import socket
import uuid
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from filelock import FileLock

from laspa.errors import LaspaError
from laspa.params import Params, load_params
from laspa.params.dotted import flatten
from laspa.redaction import without_credentials
from pipelines.stage import PARAMS_FILE, project_root
from pipelines.tracking.origin import Dataset, datasets, log_datasets, origin_tags
from pipelines.tracking.pipeline_run import Pipeline, this_pipeline
from pipelines.tracking.tracked_run import TrackedRun, accepted, client_of

EXPERIMENT = "laspa"  # unless MLFLOW_EXPERIMENT_NAME is set
MODEL_TAG, PROCESS_TAG, RUN_TAG = "laspa.model_sha256", "laspa.process", "laspa.run"
PIPELINE_TAG, COMPLETE_TAG = "laspa.pipeline", "laspa.complete"
PARENT_TAG = "mlflow.parentRunId"
READ = {"train": ("training", "validation"), "evaluate": ("testing",)}  # by a stage; others read all
ALL_READ = ("training", "validation", "testing")
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
    parent: TrackedRun | None = None,
    watch: bool = True,
    last: bool = False,
) -> TrackedRun:
    """A new run, or the newest one with the tags `find`; `with` closes it with the status of the block's end.

    A new run in a stage of DVC is nested in the run of the pipeline or experiment.

    Args:
        name: of the run.
        kind: what the run is, a stage's name: train, ablate, tune.
        parent: nests a new run in this one.
        watch: log this machine's load.
        last: nothing of the pipeline follows: the next one gets a run of its own.
    """
    tags = {"laspa.kind": kind, **origin_tags(params), **(tags or {}), **(find or {})}
    used, pipeline = datasets(*READ.get(kind, ALL_READ)), this_pipeline()
    mine, tried = {RUN_TAG: uuid.uuid4().hex}, False

    def start() -> tuple[Any, Any]:
        nonlocal tried
        client, experiment = open_store()
        _end_dead_runs(client, experiment)
        # A try that failed may have made the run: one run, however often it is tried.
        run, found = tried and _newest(client, experiment, mine), None
        tried = True
        if not run and (found := find and _newest(client, experiment, find)):
            client.set_tag(found.info.run_id, PROCESS_TAG, _process_tag())
            client.update_run(found.info.run_id, status="RUNNING")
            log_datasets(client, found.info.run_id, used)
            return client, found
        if not run:
            if parent is None:
                above = _in_pipeline(client, experiment, params, used, pipeline)
            elif (above := parent.run_id) is None:
                raise ConnectionError("the run above is not in the store yet")
            nested = {PARENT_TAG: above} if above else {}
            run = _new_run(client, experiment, name, tags | mine | nested, _process_tag())
        _fill(client, run, params, used)
        return client, run

    uri = tracking_uri()
    patience = SERVER_PATIENCE_SECONDS if uri.startswith("http") else LOCAL_PATIENCE_SECONDS

    def end(client: Any, run_id: str, status: str) -> None:
        client.set_terminated(run_id, status)
        if parent is None and pipeline:
            _end_pipeline(client, run_id, status, pipeline, last)

    return TrackedRun(uri, start, end, patience, watch)


def run_of_model(sha256: str, params: Params, last: bool = False) -> TrackedRun:
    """The newest run that made the model with this digest, reopened; a new run where there is none.

    So a model's losses, params and error rates are in one row, and ticking two rows compares them.
    """
    return start_run("evaluation", "evaluate", params, find={MODEL_TAG: sha256}, last=last)


def open_store() -> tuple[Any, str]:
    """MLflow's client and the experiment's id; the first process that calls it makes the database.

    Call it before starting workers: making the database takes seconds, for which they would all wait.
    """
    uri = tracking_uri()
    local = uri.startswith("sqlite:")
    database = Path(uri.removeprefix("sqlite:///")).resolve()
    with FileLock(f"{database}.lock") if local else nullcontext():
        client = client_of(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = client.get_experiment_by_name(name)
        if found is None:
            artifacts = (database.parent / "mlartifacts").as_uri() if local else None
            try:
                return client, str(client.create_experiment(name, artifact_location=artifacts))
            except Exception:  # another process may have been faster: no lock of ours covers a server
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return client, str(found.experiment_id)


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or mlflow.db; a relative database is that of the project's root.

    Raises:
        LaspaError: a folder, into which MLflow writes no more.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    folder = urlsplit(uri).scheme in ("", "file") and not uri.startswith("databricks")
    if folder and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
        raise LaspaError(
            f"MLFLOW_TRACKING_URI is {uri}, a folder, into which MLflow writes no more; name a database, "
            "such as sqlite:///mlflow.db, or a server, or leave it unset"
        )
    file = uri.removeprefix("sqlite:///")
    if file == uri or file.startswith("/"):
        return uri
    path = str(project_root() / file)
    # Relative where it has what URIs give a meaning to, which MLflow does not unquote alike.
    return f"sqlite:///{os.path.relpath(path) if set(path) & set('%?#') else path}"


def flat_params(params: Params, keys: set[str] = RUN_KEYS) -> dict[str, str]:
    """Params by dotted name, as text; by default without the sections that describe many runs."""
    flat = flatten(params.model_dump(include=keys))
    return {
        name: without_credentials(value if isinstance(value, str) else json.dumps(value))
        for name, value in flat.items()
    }


def _new_run(client: Any, experiment: str, name: str, tags: dict[str, str], process: str) -> Any:
    tags = {key: without_credentials(value) for key, value in tags.items()}
    return client.create_run(experiment, tags=tags | {PROCESS_TAG: process}, run_name=name)


def _fill(client: Any, run: Any, params: Params, used: list[Dataset]) -> None:
    """Log params and datasets; doing it twice changes nothing."""
    from mlflow.entities import Param

    run_id = run.info.run_id
    items = [Param(key, value) for key, value in flat_params(params).items()]
    for first in range(0, len(items), PARAMS_PER_CALL):
        batch = items[first : first + PARAMS_PER_CALL]
        if not accepted(partial(client.log_batch, run_id, params=batch)):
            for item in batch:  # one that the store refuses costs no other, nor the run
                accepted(partial(client.log_batch, run_id, params=[item]), f"the param {item.key}")
    accepted(partial(log_datasets, client, run_id, used), "the datasets")


def _newest(client: Any, experiment: str, tags: dict[str, str]) -> Any:
    wanted = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items())
    newest = ["attributes.start_time DESC"]
    return next(iter(client.search_runs([experiment], wanted, order_by=newest, max_results=1)), None)


def _open_run(client: Any, experiment: str, pipeline: Pipeline) -> Any:
    """The pipeline's run that is not complete yet, or None."""
    found = _newest(client, experiment, {PIPELINE_TAG: pipeline.key})
    return None if found is None or COMPLETE_TAG in found.data.tags else found


def _in_pipeline(
    client: Any, experiment: str, params: Params, used: list[Dataset], pipeline: Pipeline | None
) -> str | None:
    """The id of the pipeline's run, which is made if this is the first stage that tracks."""
    if pipeline is None:
        return None
    process = _process_tag(pipeline.process)
    with FileLock(project_root() / "mlflow.db.lock"):  # stages may start at the same time
        run = _open_run(client, experiment, pipeline)
        if run is None:
            with suppress(LaspaError):  # else those of this stage's system
                params = load_params(PARAMS_FILE).resolve()
            tags = {"laspa.kind": "pipeline", PIPELINE_TAG: pipeline.key}
            run = _new_run(client, experiment, pipeline.name, origin_tags(params) | tags, process)
            _fill(client, run, params, used)
        else:
            client.set_tag(run.info.run_id, PROCESS_TAG, process)
            client.update_run(run.info.run_id, status="RUNNING")
            log_datasets(client, run.info.run_id, used)
    return str(run.info.run_id)


def _end_pipeline(client: Any, run_id: str, status: str, pipeline: Pipeline, last: bool) -> None:
    """Give the pipeline's run the status of its stage; the stages that follow reopen it."""
    experiment = client.get_run(run_id).info.experiment_id
    run = _open_run(client, experiment, pipeline)
    if run is not None:
        client.set_terminated(run.info.run_id, status)
        if last and status == "FINISHED":
            client.set_tag(run.info.run_id, COMPLETE_TAG, "true")


def _process_tag(process: psutil.Process | None = None) -> str:
    process = process or psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


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
