"""Workers of Ray Train on two nodes: one node is killed, the other goes on alone, and a new one joins."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.util.queue import Queue

from laspa.params import load_params, with_overrides
from laspa.training.loop import Record
from laspa.training.processes import Processes
from laspa.training.run import load_training_data, train_system
from pipelines.ray import training as parallel
from tests.tuning.tiny import make_tiny_sweep

pytestmark = pytest.mark.services

EPOCHS, LOST_AFTER, BACK_AFTER = 12, 2, 7  # two epochs more may be under way when one is reported
PATIENCE_SECONDS = 600.0  # for each step, on a busy machine
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 1024**2}  # bytes, the least that Ray takes


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head and a second node, each with room for one worker."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        cluster.second = cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "3")
        monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process less to start
        monkeypatch.setattr(parallel, "RESIZE_SECONDS", 2.0)
        # Workers wait until their records are taken, so that the test decides when they go on.
        monkeypatch.setattr(parallel, "Queue", lambda **options: Queue(1, **options))
        yield cluster
    finally:
        cluster.shutdown()


def workers() -> int:
    """How many workers of Ray Train there are on the nodes, which are children of this process."""
    found = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            found += "RayTrainWorker" in " ".join(child.cmdline())
    return found


def test_two_workers_then_one_then_two_have_the_losses_of_a_run_that_lost_nothing(
    nodes: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_sweep(tmp_path / "project")
    changes = {"train.workers": 2, "train.batch_size": 48, "train.epochs": EPOCHS, "train.dev_every": 4}
    params = with_overrides(load_params(folder / "params.yaml").resolve("laspa_plus"), changes)
    records: list[Record] = []
    reached, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def on_epoch(record: Record) -> None:
        records.append(record)
        if record["epoch"] in (LOST_AFTER, BACK_AFTER):
            reached.release()
            assert go_on.acquire(timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as thread:  # Ray starts nodes in the main thread only
        run = thread.submit(parallel.train_in_workers, params, folder / "data", tmp_path, on_epoch)
        try:
            assert reached.acquire(timeout=PATIENCE_SECONDS)
            assert workers() == 2
            nodes.remove_node(nodes.second, allow_graceful=False)  # by SIGKILL
            go_on.release()
            assert reached.acquire(timeout=PATIENCE_SECONDS)
            assert workers() == 1
            nodes.add_node(**NODE)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while workers() < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            go_on.release(2)
        run.result(timeout=PATIENCE_SECONDS)

    said = capfd.readouterr().err
    for count in (1, 2):
        assert f"with {count} of 2 workers" in said
    assert [record["epoch"] for record in records] == list(range(1, EPOCHS + 1))
    both = Processes(0, 1, parts=2)  # the same batches in this process
    data = load_training_data(folder / "data", both)
    expected = train_system(params, data, tmp_path / "whole", processes=both).history
    for name in ("loss", "aam", "nll", "mapc", "mse"):
        ours, theirs = [one[name] for one in records], [one[name] for one in expected]
        assert ours == pytest.approx(theirs, rel=1e-3), name
