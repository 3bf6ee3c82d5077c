"""A sweep on a real Ray cluster of two nodes, one killed on the way; what it keeps is at a URI."""

from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from laspa.files import read_json
from pipelines.tracking.tracked_run import client_of
from tests import servers
from tests.tuning.test_sweep import PATIENCE_SECONDS, Sweep, wait
from tests.tuning.tiny import make_tiny_sweep, start_tune

pytestmark = pytest.mark.services

EPOCHS, BUCKET = 60, "laspa"
OBJECT_STORE = 80 * 1024**2  # bytes a node, the least that Ray takes
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path, int]:
    """The sweep, the folder behind its URI, and the epochs that were done when a node was lost."""
    from ray.cluster_utils import Cluster

    root = tmp_path_factory.mktemp("two_nodes")
    changes = {
        "tune.space": {"prefix_len": {"choice": [2, 4]}},
        "tune.sampler": "grid",
        "tune.epochs": EPOCHS,
        "tune.scheduler": "none",
        "tune.retries": 2,
        "tune.concurrent": 2,
        "tune.storage": (root / "bucket").as_uri(),
        "tune.data": (root / "store").as_uri(),
    }
    done = Sweep(make_tiny_sweep(root / "project", changes))
    (done.folder / "data").rename(root / "store")
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        second = cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        driver = start_tune(done.folder, RAY_ADDRESS=cluster.address)
        wait(driver, lambda: done.epochs(1) > 1 and done.epochs(2) > 1)
        epochs = done.epochs(1) + done.epochs(2)
        done.before = {
            trial["number"]: trial
            for trial in map(read_json, (root / "bucket/sweep/trials").glob("[!.]*.json"))
        }
        cluster.remove_node(second, allow_graceful=False)
        done.output, _ = driver.communicate(timeout=PATIENCE_SECONDS)
        assert driver.returncode == 0, done.output
    finally:
        cluster.shutdown()
    return done, root, epochs


def test_the_trial_of_the_lost_node_goes_on_elsewhere_and_both_finish(swept: tuple[Sweep, Path, int]) -> None:
    sweep, _, epochs = swept
    assert epochs < 2 * EPOCHS  # neither had ended when the node went
    table = sweep.table()
    assert [(trial["status"], len(trial["dev"])) for trial in table] == [("finished", EPOCHS)] * 2
    assert sum(trial["retries"] for trial in table) == 1  # each node had one of the two
    assert "its process ended early; started again from its last whole epoch" in sweep.output


def test_no_epoch_is_lost_or_tracked_twice(swept: tuple[Sweep, Path, int]) -> None:
    sweep = swept[0]
    client = client_of(f"sqlite:///{sweep.folder / 'mlflow.db'}")
    for trial in sweep.table():
        run = sweep.runs()[f"trial {trial['trial']}"]
        logged = client.get_metric_history(run.info.run_id, "dev/eer_cross_same")
        assert [point.step for point in logged] == list(range(1, EPOCHS + 1))
        assert [point.value for point in logged] == [epoch["eer_cross_same"] for epoch in trial["dev"]]


def test_tables_come_from_a_uri_and_journal_and_results_go_to_one(swept: tuple[Sweep, Path, int]) -> None:
    sweep, root, _ = swept
    assert not (sweep.folder / "data/manifest.parquet").exists()
    assert set(sweep.before) == {1, 2}  # the journal was there while trials ran, for another driver
    ours, theirs = sweep.folder / "reports/tune", root / "bucket/results"
    assert {file.name for file in theirs.iterdir()} == {file.name for file in ours.iterdir()}
    assert (theirs / "trials.csv").read_bytes() == (ours / "trials.csv").read_bytes()
    assert not (root / "bucket/sweep").exists()
    assert not list((root / "bucket").glob("*.safetensors"))


def test_two_nodes_read_their_features_from_s3_and_keep_their_states_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    changes = {
        "tune.space": {"prefix_len": {"choice": [2, 4]}},
        "tune.sampler": "grid",
        "tune.scheduler": "none",
        "tune.concurrent": 2,
        "tune.storage": f"s3://{BUCKET}/sweep",
        "tune.data": f"s3://{BUCKET}/data",
    }
    sweep = Sweep(make_tiny_sweep(tmp_path / "project", changes))
    with servers.s3(BUCKET) as aws:
        for name, value in aws.items():
            monkeypatch.setenv(name, value)  # nodes inherit them
        bucket, _ = fs.FileSystem.from_uri(f"s3://{BUCKET}")
        fs.copy_files(str(sweep.folder / "data"), f"{BUCKET}/data", fs.LocalFileSystem(), bucket)
        (sweep.folder / "data").rename(tmp_path / "away")
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        try:
            cluster.add_node(**NODE)
            cluster.wait_for_nodes()
            driver = start_tune(sweep.folder, RAY_ADDRESS=cluster.address)
            sweep.output, _ = driver.communicate(timeout=PATIENCE_SECONDS)
        finally:
            cluster.shutdown()
        assert driver.returncode == 0, sweep.output
        assert [trial["status"] for trial in sweep.table()] == ["finished"] * 2
        (copy,) = (sweep.folder / "data/.partial/tables").glob("*/")
        read = {file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()}
        assert read == {"manifest.parquet", "trials/dev.parquet", "features/part-00000.parquet"}
        assert any(key.startswith("sweep/results/") for key in servers.s3_keys(aws, BUCKET))
