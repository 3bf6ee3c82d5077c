"""Trials on Ray Tune: on this machine, or on the cluster that RAY_ADDRESS names."""

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from laspa.errors import LaspaError
from laspa.experiment import TrainingData, train_system
from laspa.params import Params, with_overrides
from laspa.training import Record
from laspa.tuning.outcome import METRIC
from laspa.tuning.space import Changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray.tune import Callback, ResultGrid

REDUCTION = 3  # of the trials, a third goes on at each rung (ASHA, Li et al., 2020)
RETRIES = 1  # of a trial that died, from its last epoch
ANSWER_SECONDS = 5.0
GCS_PORT = 6379


@contextmanager
def ray_session(params: Params) -> "Iterator[None]":
    """Ray, started here or joined at RAY_ADDRESS, with what a trial asks for.

    Raises:
        LaspaError: nobody answers at RAY_ADDRESS; no node has the CPUs or GPUs of a trial.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS", "")
    if address and address not in ("auto", "local"):
        _answers(address)
    joined = ray.is_initialized()
    if not joined:
        try:
            ray.init(
                address or "local",
                include_dashboard=None if address else False,
                logging_level=logging.WARNING,
                log_to_driver=False,
            )
        except ConnectionError as error:
            raise LaspaError(f"RAY_ADDRESS is {address!r} but there is no Ray: {error}") from None
    try:
        _enough(params, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        yield
    finally:
        if not joined:
            ray.shutdown()


def run_sweep(
    params: Params,
    data: TrainingData,
    trials: Sequence[Changes],
    name: str,
    callbacks: "list[Callback]",
    early_stopping: bool = True,
) -> "ResultGrid":
    """Train every trial, each reporting its dev EERs by epoch; only train and dev splits are read.

    A sweep of the same name that was interrupted goes on: trials that ended are kept, those that ran
    go on from their last epoch. A trial that dies is started again from there once, then counts as
    failed, and the others go on.

    Args:
        trials: the changes to params of each.
        name: of the folder under `tune.storage`.
        early_stopping: stop the worse trials early (ASHA); else all have their full budget.
    """
    from ray import cloudpickle, tune
    from ray.tune.schedulers import ASHAScheduler

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have laspa, not the pipeline
    options = params.tune
    storage = options.storage if "://" in options.storage else str(Path(options.storage).resolve())
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, data=data, params=params, trials=list(trials)),
        {"cpu": options.cpus, "gpu": options.gpus},
    )
    epochs = params.train.epochs
    scheduler = ASHAScheduler(
        time_attr="epoch",
        max_t=epochs,
        grace_period=min(options.grace_epochs, epochs),
        reduction_factor=REDUCTION,
    )
    config = tune.TuneConfig(
        metric=METRIC,
        mode="min",
        scheduler=scheduler if early_stopping else None,
        max_concurrent_trials=options.concurrent,
        time_budget_s=options.hours * 3600,
        reuse_actors=False,
    )
    folder = f"{storage}/{name}"
    if tune.Tuner.can_restore(folder):
        tuner = tune.Tuner.restore(
            folder,
            trainable,
            resume_errored=False,
            param_space={"trial": tune.grid_search(list(range(len(trials))))},
        )
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={"trial": tune.grid_search(list(range(len(trials))))},
            tune_config=config,
            run_config=tune.RunConfig(
                name=name,
                storage_path=storage,
                callbacks=callbacks,
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
                verbose=0,
            ),
        )
    return tuner.fit()


def run_trial(config: dict[str, Any], data: TrainingData, params: Params, trials: list[Changes]) -> None:
    """One trial: report the dev EERs and the state of every epoch."""
    from ray import tune

    run = with_overrides(params, trials[config["trial"]] | {"train.threads": max(1, int(params.tune.cpus))})
    with tempfile.TemporaryDirectory(prefix="laspa-") as folder:
        states, told = Path(folder) / "states", 0
        checkpoint = tune.get_checkpoint()
        if checkpoint is not None:
            with checkpoint.as_directory() as saved:
                shutil.copytree(saved, states)
            told = int((states / "told").read_text())
        states.mkdir(exist_ok=True)

        def report(record: Record) -> None:
            if record["epoch"] <= told or not record["dev"]:
                return
            (states / "told").write_text(str(record["epoch"]))
            metrics = {METRIC: next(iter(record["dev"].values())), "epoch": record["epoch"]}
            metrics |= {name: value for name, value in record["dev"].items() if name != METRIC}
            tune.report(metrics | {"record": record}, checkpoint=tune.Checkpoint.from_directory(states))

        train_system(run, data, states, report)


def _answers(address: str) -> None:
    """That something listens at the address, before Ray waits for it for minutes."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        host, port = parts.hostname or "", parts.port or GCS_PORT
    except ValueError:
        raise LaspaError(f"RAY_ADDRESS is {address!r}; expected host:port or ray://host:port") from None
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise LaspaError(
            f"RAY_ADDRESS is {address!r} but nobody answers there ({error.strerror or error}); start "
            "Ray there (ray start --head), or unset RAY_ADDRESS to use this machine"
        ) from None


def _enough(params: Params, nodes: list[dict[str, float]]) -> None:
    for kind, name, asked in (("GPU", "gpus", params.tune.gpus), ("CPU", "cpus", params.tune.cpus)):
        most = max((node.get(kind, 0) for node in nodes), default=0)
        if asked > most:
            raise LaspaError(
                f"params.yaml: tune.{name} is {asked:g} a trial but no node of the Ray cluster has more than "
                f"{most:g} {kind}; set it to at most that, or join a worker that has them"
            )
