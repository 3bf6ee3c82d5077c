"""What every MLflow run carries, and where runs are kept.

The store is `sqlite:///mlflow.db` at the project's root, also from inside `dvc exp run --temp`;
MLFLOW_TRACKING_URI wins. How a run outlives a store that is away:
pipelines/tracking/run.py. Names of metrics and tags: docs/tracking.md.
"""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from laspa.files import sha256_file
from laspa.params import Params
from laspa.params.dotted import flatten
from pipelines.stage import project_root
from pipelines.tracking.run import Run, Started, client_of, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

EXPERIMENT = "laspa"
MODEL_TAG, PROCESS_TAG = "laspa.model_sha256", "laspa.process"
LOSS_TERMS = ("aam", "nll", "mapc", "mse", "grl", "consistency")
CONDITION_METRICS = ("eer", "eer_low", "eer_high", "min_dcf_01", "min_dcf_05")
WHOLE_TEST_METRICS = (
    "language_probe_accuracy",
    "language_probe_chance",
    "language_accuracy",
    "mapc",
    "mse",
    "added_parameters_percent",
)
PROBES = ("language_linear", "language_mlp", "speaker")
DETAILED_METRICS = (
    *(f"min_dcf_{prior}_{end}" for prior in ("01", "05") for end in ("low", "high")),
    "eer_convex_hull",
    "act_dcf_01",
    "act_dcf_05",
    "cllr",
    "min_cllr",
    "frr_at_far_1",
    "frr_at_far_01",
)
NORMALISED_METRICS = ("eer", "eer_low", "eer_high", "min_dcf_01", "min_dcf_05")
PARAMS_PER_CALL = 100  # MLflow's limit
CLOCK_TOLERANCE_SECONDS = 2.0  # a process's start is reckoned from the boot time, which clocks correct
LOCAL_PATIENCE_SECONDS, SERVER_PATIENCE_SECONDS = (
    10.0,
    90.0,
)  # at a run's end, before what is left is given up


@contextmanager
def run(
    name: str, kind: str, params: Params, tags: dict[str, str] | None = None, parent_run_id: str | None = None
) -> Iterator[Run]:
    """A new run; FAILED if the block raises, KILLED if it is interrupted, else FINISHED.

    Args:
        name: of the run; a training inside `dvc exp run` has the experiment's, to be told from others.
        kind: what the run is, a stage's name: train, ablate, tune.
        parent_run_id: makes this run a nested one; give it by hand, since a worker shares no session.
    """
    all_tags = {"laspa.kind": kind, **_origin_tags(params), **(tags or {})}
    if kind == "train":
        name = os.environ.get("DVC_EXP_NAME") or name
    if parent_run_id is not None:
        all_tags["mlflow.parentRunId"] = parent_run_id

    def start() -> Started:
        client, experiment = open_store()
        _end_dead_runs(client, experiment)
        return client, _new_run(client, experiment, name, params, all_tags)

    with _following(start) as opened:
        yield opened


def open_run(
    name: str, kind: str, params: Params, identity: dict[str, str], parent_run_id: str | None, watch: bool
) -> Run:
    """The newest run with the tags `identity`, gone on with, or a new one; the caller closes it.

    For what outlives its process: a sweep that is killed and started again goes on in the runs it had.

    Args:
        watch: log this machine's load.
    """
    tags = {"laspa.kind": kind, **_origin_tags(params), **identity}
    if parent_run_id is not None:
        tags["mlflow.parentRunId"] = parent_run_id

    def start() -> Started:
        client, experiment = open_store()
        _end_dead_runs(client, experiment)
        wanted = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in identity.items())
        return _reopened(client, experiment, wanted) or (
            client,
            _new_run(client, experiment, name, params, tags),
        )

    return _run(start, watch)


@contextmanager
def run_of_model(sha256: str, params: Params, name: str = "evaluation") -> Iterator[Run]:
    """The newest run that made the model with this digest, reopened; a new run where there is none.

    So that a model's losses, params and error rates stand in one row, and ticking two rows compares them.
    """

    def start() -> Started:
        client, experiment = open_store()
        found = _reopened(client, experiment, f"tags.`{MODEL_TAG}` = '{sha256}'")
        if found:
            return found
        tags = {"laspa.kind": "evaluate", MODEL_TAG: sha256, **_origin_tags(params)}
        return client, _new_run(client, experiment, name, params, tags)

    with _following(start) as opened:
        yield opened


def open_store() -> "tuple[MlflowClient, str]":
    """A client and the experiment's id; both are made, with the database, by the first process that asks.

    Call it before starting workers: making the database takes seconds, and they would wait for one another.
    """
    uri = tracking_uri()
    if not uri.startswith("sqlite:"):
        client = client_of(uri)
        return client, _find_or_create(client, None)
    database = Path(uri.removeprefix("sqlite:///")).resolve()
    with FileLock(f"{database}.lock"):
        client = client_of(uri)
        return client, _find_or_create(client, (database.parent / "mlartifacts").as_uri())


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the database at the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root() / 'mlflow.db'}"


def flat_params(params: Params) -> dict[str, str]:
    """Params under dotted names: `prefix_len`, `loss_weights.nll`; what describes many runs is left out."""
    return {
        name: without_credentials(value if isinstance(value, str) else json.dumps(value))
        for name, value in flatten(params.model_dump(exclude={"systems", "ablate", "study", "tune"})).items()
    }


def epoch_metrics(record: dict[str, Any]) -> dict[str, Any]:
    """One entry of the training history as the arguments of `Run.log_metrics`."""
    metrics = {f"loss/{term}": record.get(term) for term in LOSS_TERMS}
    metrics["loss/total"] = record.get("loss")
    metrics |= {f"weighted/{term}": value for term, value in record["weighted"].items()}
    metrics |= {f"gradient/{term}": norm for term, norm in record["gradient"].items()}
    metrics |= {name: record.get(name) for name in ("margin", "learning_rate", "grad_norm")}
    metrics |= {f"attention/{side}": share for side, share in (record.get("attention") or {}).items()}
    metrics |= {f"dev/{name}": value for name, value in (record.get("dev") or {}).items()}
    return {"metrics": metrics, "step": record["epoch"]}


def evaluation_metrics(metrics: dict[str, Any]) -> dict[str, float | None]:
    """reports/metrics.json, or an ablation's result, under flat names: `eer/cross_same`, `unseen/eer/all`."""
    flat: dict[str, float | None] = {name: metrics.get(name) for name in WHOLE_TEST_METRICS}
    for prefix, part in (("", "conditions"), ("seen/", "seen"), ("unseen/", "unseen")):
        for condition, rates in (metrics.get(part) or {}).items():
            flat |= {f"{prefix}{name}/{condition}": rates.get(name) for name in CONDITION_METRICS}
    for title, measured in metrics.get("official", {}).items():
        for condition, rates in measured["conditions"].items():
            flat |= {f"{title}/{name}/{condition}": rates.get(name) for name in CONDITION_METRICS}
    return flat


def inspection_metrics(
    probe: dict[str, Any], detail: dict[str, Any], gradients: dict[str, Any], **_: Any
) -> dict[str, float | None]:
    """What the stage evaluate writes beside its metrics: `probe/speaker/language_mlp`, `cllr/all`, …"""
    flat: dict[str, float | None] = {}
    for kind, found in probe.items():
        flat |= {f"probe/{kind}/{name}": found[name]["accuracy"] for name in PROBES}
        flat |= {f"variance/{kind}/{name}": share for name, share in found["variance"].items()}
    for part, terms in gradients.items():
        flat |= {f"gradient/{part}/{term}": norm for term, norm in terms.items()}
    for prefix, scores, names in (
        ("", "cosine", DETAILED_METRICS),
        ("as_norm/", "as_norm", NORMALISED_METRICS),
    ):
        for part, rates in (detail[scores]["all"] | detail[scores]["condition"]).items():
            flat |= {f"{prefix}{name}/{part}": rates.get(name) for name in names if rates}
    return flat


@contextmanager
def _following(start: Callable[[], Started]) -> Iterator[Run]:
    """Open the run and close it with the status that the block's end gives it."""
    opened = _run(start)
    status = "FAILED"
    try:
        yield opened
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        opened.close(status)


def _run(start: Callable[[], Started], watch: bool = True) -> Run:
    uri = tracking_uri()
    patience = SERVER_PATIENCE_SECONDS if uri.startswith("http") else LOCAL_PATIENCE_SECONDS
    return Run(uri, start, patience, watch)


def _reopened(client: "MlflowClient", experiment: str, wanted: str) -> "Started | None":
    """The newest run that the filter finds, running again in this process."""
    runs = client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"], max_results=1)
    if not runs:
        return None
    client.set_tag(runs[0].info.run_id, PROCESS_TAG, _this_process())
    client.update_run(runs[0].info.run_id, status="RUNNING")
    return client, runs[0]


def _new_run(
    client: "MlflowClient", experiment: str, name: str, params: Params, tags: dict[str, str]
) -> "MlflowRun":
    from mlflow.entities import Param

    tags = {key: without_credentials(value) for key, value in tags.items()}
    created = client.create_run(experiment, tags=tags | {PROCESS_TAG: _this_process()}, run_name=name)
    items = [Param(key, value) for key, value in flat_params(params).items()]
    for first in range(0, len(items), PARAMS_PER_CALL):
        client.log_batch(created.info.run_id, params=items[first : first + PARAMS_PER_CALL])
    return created


def _find_or_create(client: "MlflowClient", artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
        except MlflowException:  # another process was a moment earlier: a server is behind no lock of ours
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _origin_tags(params: Params) -> dict[str, str]:
    """Code, experiment and data that a run comes from; what is not known is left out."""
    tags: dict[str, str] = {"laspa.corpus": ", ".join(params.corpora)}
    commit = _git("rev-parse", "HEAD")
    if commit:
        # What the pipeline itself writes into tracked files makes no difference to what a run computed.
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock", ":!reports")
        tags |= {"mlflow.source.git.commit": commit, "laspa.git_dirty": str(bool(changed)).lower()}
    tags |= {
        name: os.environ[name] for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV") if os.environ.get(name)
    }
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


def _end_dead_runs(client: "MlflowClient", experiment: str) -> None:
    """Runs of this machine whose process was killed without a word are not running: say so."""
    for running in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        host, _, process = running.data.tags.get(PROCESS_TAG, "").partition(":")
        if host != socket.gethostname() or _alive(*process.split(":")):
            continue
        # It may have ended as it should since the search; from its process's end on it stays as it is.
        if client.get_run(running.info.run_id).info.status == "RUNNING":
            client.set_terminated(running.info.run_id, "KILLED")


def _alive(process: str, born: str) -> bool:
    try:
        return bool(abs(psutil.Process(int(process)).create_time() - float(born)) < CLOCK_TOLERANCE_SECONDS)
    except psutil.Error:
        return False
