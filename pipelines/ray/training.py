"""One training run shared by several processes, which Ray Train starts, joins and starts again."""

import logging
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch.distributed as dist
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from laspa.errors import LaspaError
from laspa.params import Params
from laspa.training.loop import Record
from laspa.training.processes import Processes
from laspa.training.run import load_training_data, train_system
from pipelines.ray.session import ray_session

RESTARTS = 3  # of all workers, from their last whole epoch, after one of them died; our choice
RAY_FOLDER = "ray"  # in the states' folder, emptied when training starts
RESIZE_SECONDS = 60.0  # between looks whether a lost worker can be replaced; Ray's own default
VARIABLES = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # For workers to be placed, then Ray counts nodes again; it takes up to 20 s to count a lost one out.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
}


def train_in_workers(params: Params, data: Path, states: Path, on_epoch: Callable[[Record], None]) -> None:
    """Train with `train.workers` processes, each on its part of every batch; the state is left in `states`.

    If a worker or its node is lost, those that remain go on from the last whole epoch with the same batches,
    and all of them again when there is a node in its place.

    Args:
        data, states: folders that all nodes reach under these paths.
        on_epoch: called here with each epoch's record, once.

    Raises:
        LaspaError: more workers than there are CPUs or GPUs for, a worker that dies again and again, or
            what training itself raises.
    """
    scratch = (states / RAY_FOLDER).resolve()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    with ray_session({}, VARIABLES), ThreadPoolExecutor(1) as thread:
        gpus = _check_resources(params)
        # On this node, which must live anyway: another one could be lost with the records.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        records = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        problem = thread.submit(_listen, records, on_epoch, params.train.workers)
        config = {
            "params": params.model_dump(),
            "data": str(data.resolve()),
            "states": str(states.resolve()),
            "records": records,
        }
        failed = ""
        try:
            TorchTrainer(
                _work,
                train_loop_config=config,
                scaling_config=ray.train.ScalingConfig(
                    num_workers=(1, params.train.workers),
                    elastic_resize_monitor_interval_s=RESIZE_SECONDS,
                    use_gpu=gpus,
                    resources_per_worker={"CPU": params.train.threads, **({"GPU": 1} if gpus else {})},
                ),
                run_config=ray.train.RunConfig(
                    name="run",
                    storage_path=str(scratch),
                    failure_config=ray.train.FailureConfig(max_failures=RESTARTS),
                ),
            ).fit()
        except ray.train.TrainingFailedError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            failed = f"training: a worker failed ({reason}); run again to resume"
        finally:
            records.put(None)
        if wrong := problem.result() or failed:
            raise LaspaError(wrong)


def _work(config: dict[str, Any]) -> None:
    """What each worker runs. Bad input is sent as a text, and raised, so that Ray stops all workers.

    A worker that alone meets it, in its own shards, would be waited for. Ray starts the workers once more,
    and these end at once.
    """
    states, records = Path(config["states"]), config["records"]
    told = states / RAY_FOLDER / "told"
    if told.exists():
        return
    params = Params.model_validate(config["params"])
    processes = _processes(params.train.workers)
    if processes.rank >= processes.size:
        return
    on_epoch = records.put if processes.rank == 0 else lambda record: None
    on_epoch(processes.size)
    try:
        train_system(params, load_training_data(Path(config["data"]), processes), states, on_epoch, processes)
    except LaspaError as error:
        records.put(str(error))
        told.touch()
        raise


def _processes(parts: int) -> Processes:
    """The workers that train: as many of those there are as divide the parts of a batch."""
    context = ray.train.get_context()
    there = context.get_world_size()
    size = max(count for count in range(1, there + 1) if parts % count == 0)
    group = dist.new_group(list(range(size))) if size < there else None
    return Processes(context.get_world_rank(), size, parts, group)


def _listen(records: Queue, on_epoch: Callable[[Record], None], workers: int) -> str:
    """Pass each epoch's record on, until None comes; return what is wrong with the input, if anything.

    Workers that start again send how many they are and repeat earlier records.
    """
    last, problem = 0, ""
    while (record := records.get()) is not None:
        if isinstance(record, str):
            problem = record
        elif isinstance(record, int):
            if last or record < workers:
                text = f"warning: training goes on after epoch {last} with {record} of {workers} workers"
                print(text, file=sys.stderr, flush=True)
        elif record["epoch"] > last:
            last = record["epoch"]
            on_epoch(record)
    return problem


def _check_resources(params: Params) -> bool:
    """Whether each worker has a GPU.

    Raises:
        LaspaError: too few CPUs or GPUs for all of them.
    """
    options, there = params.train, ray.cluster_resources()
    gpus = options.device == "cuda" or (options.device == "auto" and there.get("GPU", 0) >= options.workers)
    wanted = {"CPU": options.workers * options.threads} | ({"GPU": options.workers} if gpus else {})
    for resource, count in wanted.items():
        if there.get(resource, 0) < count:
            raise LaspaError(
                f"params.yaml: train.workers is {options.workers}, which takes {count} {resource}, but Ray "
                f"has {there.get(resource, 0):g}; lower it, or join a larger cluster by RAY_ADDRESS"
            )
    return gpus
