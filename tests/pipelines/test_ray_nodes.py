"""Workers of Ray Train on two nodes over a shared path: a node is lost and replaced, or back later."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from laspa.params import Params, load_params, with_overrides
from laspa.training.loop import Record
from pipelines.ray import training as parallel
from tests.servers import PATIENCE_SECONDS
from tests.tuning.tiny import make_tiny_sweep

pytestmark = pytest.mark.services

EPOCHS, LOST_AFTER = 20, 3
ELASTIC_EPOCHS = 400  # so many that a node is lost and comes back in their midst
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 1024**2}  # bytes, the least that Ray takes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sweep(tmp_path_factory.mktemp("nodes") / "project")


@pytest.fixture
def params(folder: Path) -> Params:
    changes = {"train.workers": 2, "train.epochs": EPOCHS, "train.dev_every": 1}
    return with_overrides(load_params(folder / "params.yaml").resolve("laspa_plus"), changes)


def patient(find: Callable[..., Any]) -> Callable[..., Any]:
    """Ray's look for a new node, which it gives up after half a minute, as long as a busy machine needs."""

    def found(*given: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return find(*given)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    return found


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head and a second node, each with room for one worker, and `second`."""
    from ray._private import services
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(services, "get_node", patient(services.get_node))
    cluster = Cluster()
    try:
        cluster.add_node(wait=False, include_dashboard=False, **NODE)
        cluster.second = cluster.add_node(wait=False, **NODE)
        cluster.wait_for_nodes(timeout=PATIENCE_SECONDS)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
    finally:
        cluster.shutdown()


def run(params: Params, folder: Path, states: Path, then: Callable[[Record], None]) -> list[Record]:
    records: list[Record] = []

    def on_epoch(record: Record) -> None:
        records.append(record)
        then(record)

    parallel.train_in_workers(params, folder / "data", states, on_epoch)
    return records


def workers() -> int:
    """How many processes of Ray Train are at work."""
    names = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return sum("RayTrainWorker" in name for name in names)


def test_a_lost_node_is_replaced_and_the_losses_are_those_of_a_run_without_loss(
    nodes: Any, folder: Path, params: Params, tmp_path: Path
) -> None:
    whole = run(params, folder, tmp_path / "whole", lambda record: None)

    def lose(record: Record) -> None:
        if record["epoch"] == LOST_AFTER:
            nodes.remove_node(nodes.second, allow_graceful=False)
            nodes.add_node(wait=False, **NODE)

    assert run(params, folder, tmp_path / "lost", lose) == whole
    assert [record["epoch"] for record in whole] == list(range(1, EPOCHS + 1))


def test_two_workers_then_one_then_two(
    nodes: Any, folder: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(parallel.FEWEST, "1")
    monkeypatch.setattr(parallel, "RESIZE_SECONDS", 2.0)
    seen: list[int] = []

    def come_and_go(record: Record) -> None:
        if (count := workers()) and seen[-1:] != [count]:
            seen.append(count)
            if seen == [2]:
                nodes.remove_node(nodes.second, allow_graceful=False)
            elif seen == [2, 1]:
                nodes.add_node(wait=False, **NODE)

    long = with_overrides(params, {"train.epochs": ELASTIC_EPOCHS})
    records = run(long, folder, tmp_path, come_and_go)
    assert seen[:3] == [2, 1, 2]
    assert [record["epoch"] for record in records] == list(range(1, ELASTIC_EPOCHS + 1))
    assert records[-1]["nll"] < records[0]["nll"]
