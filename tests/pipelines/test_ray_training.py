"""Workers of Ray Train share a run: what it logs and leaves, one of them killed, and what stops it."""

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray.train

from laspa.errors import LaspaError
from laspa.features.store import FeatureStore, UtteranceMel, write_shard
from laspa.params import Params, load_params, with_overrides
from laspa.training.loop import Record
from laspa.training.processes import Processes
from laspa.training.run import load_training_data, train_system
from pipelines.ray import training as parallel
from tests.tuning.tiny import make_tiny_sweep

EPOCHS = 40  # enough that a worker is killed in their midst


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sweep(tmp_path_factory.mktemp("parallel") / "project")


@pytest.fixture(scope="module")
def params(folder: Path) -> Params:
    changes = {"train.workers": 2, "train.epochs": EPOCHS, "loss_weights.grl": 0.1}
    return with_overrides(load_params(folder / "params.yaml").resolve("laspa_plus"), changes)


@pytest.mark.services
def test_a_worker_is_killed_and_the_run_goes_on_to_its_end(
    folder: Path, params: Params, tmp_path: Path
) -> None:
    records: list[Record] = []
    killed: list[int] = []

    def on_epoch(record: Record) -> None:
        records.append(record)
        if not killed:
            children = psutil.Process().children(recursive=True)
            workers = [child for child in children if "RayTrainWorker" in " ".join(child.cmdline())]
            assert len(workers) == 2
            workers[1].kill()
            killed.append(workers[1].pid)

    parallel.train_in_workers(params, folder / "data", tmp_path, on_epoch)
    assert killed
    assert [record["epoch"] for record in records] == list(range(1, EPOCHS + 1))
    assert records[-1]["nll"] < records[0]["nll"]
    again: list[Record] = []
    trained = train_system(params, load_training_data(folder / "data"), tmp_path, again.append)
    assert trained.history == records == again  # what they leave is a finished run


@pytest.mark.services
def test_a_shard_that_one_worker_alone_reads_is_truncated_and_the_run_stops_and_names_it(
    params: Params, tmp_path: Path
) -> None:
    data = make_tiny_sweep(tmp_path / "project") / "data"
    mels = FeatureStore(data / "features")
    rows = [UtteranceMel(name, mels.get(name)) for name in mels.utterance_ids]
    for number, some in enumerate((rows[:24], rows[24:48], rows[48:])):  # one a worker, and dev
        write_shard(data / f"features/part-{number:05d}.parquet", iter(some), mels.settings)
    shard, records = data / "features/part-00001.parquet", []
    whole = shard.read_bytes()

    def on_epoch(record: Record) -> None:
        records.append(record)
        if len(records) == 1:
            os.truncate(shard, 100)

    with pytest.raises(LaspaError, match=r"part-00001.parquet: (was truncated|not a readable)"):
        parallel.train_in_workers(params, data, tmp_path, on_epoch)
    assert 0 < len(records) < EPOCHS
    shard.write_bytes(whole)
    again: list[Record] = []
    both = Processes(0, 1, parts=2)
    train_system(params, load_training_data(data, both), tmp_path, again.append, both)
    assert again[: len(records)] == records


def worker_config(folder: Path, states: Path, params: Params, records: list[Any]) -> dict[str, object]:
    return {
        "params": params.model_dump(),
        "data": str(folder / "data"),
        "states": str(states),
        "records": SimpleNamespace(put=records.append),
    }


def test_a_worker_sends_what_is_wrong_with_the_input_as_a_text(
    folder: Path,
    params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setattr(ray.train, "get_context", lambda: alone)
    wild = with_overrides(params, {"train.learning_rate": 1e30})
    records: list[Any] = []
    (tmp_path / parallel.RAY_FOLDER).mkdir()
    for _ in range(2):  # Ray starts the workers once more, and then they end at once
        with suppress(LaspaError):
            parallel._work(worker_config(folder, tmp_path, wild, records))
    assert [str(one).startswith("training: ") for one in records].count(True) == 1
    assert records[-1].startswith("training: ")
    epoch: Any = {"epoch": 1}
    queue = SimpleNamespace(get=iter([2, epoch, 1, epoch, *records[-1:], None]).__next__)
    heard: list[Record] = []
    assert parallel._listen(queue, heard.append, 2) == records[-1]
    assert heard == [epoch]
    assert capsys.readouterr().err.splitlines()[-1:] == [
        "warning: training goes on after epoch 1 with 1 of 2 workers"
    ]


def test_of_the_workers_that_are_left_as_many_train_as_divide_the_parts_of_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel.dist, "new_group", lambda ranks: ranks)
    for there, size, group in ((4, 4, None), (3, 2, [0, 1]), (2, 2, None), (1, 1, None)):
        context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda there=there: there)
        monkeypatch.setattr(ray.train, "get_context", lambda context=context: context)
        assert parallel._processes(4) == Processes(0, size, 4, group)


@pytest.mark.parametrize(
    ("there", "device", "problem"),
    [
        ({"CPU": 1.0}, "auto", r"train\.workers is 2, which takes 2 CPU, but Ray has 1"),
        ({"CPU": 8.0, "GPU": 1.0}, "cuda", r"train\.workers is 2, which takes 2 GPU, but Ray has 1"),
    ],
)
def test_too_few_processors_are_named(
    params: Params, monkeypatch: pytest.MonkeyPatch, there: dict[str, float], device: str, problem: str
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: there)
    with pytest.raises(LaspaError, match=problem):
        parallel._check_resources(with_overrides(params, {"train.device": device}))


def test_workers_take_gpus_where_there_is_one_for_each(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = with_overrides(params, {"train.device": "auto"})
    for count, expected in ((0, False), (1, False), (2, True)):
        monkeypatch.setattr(ray, "cluster_resources", lambda count=count: {"CPU": 8.0, "GPU": count})
        assert parallel._check_resources(options) is expected
