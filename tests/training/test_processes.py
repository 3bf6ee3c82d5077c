"""Two processes that train together have the losses and weights of one process with the whole batch."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from laspa.files import read_json, write_json
from laspa.params import Params, load_params, with_overrides
from laspa.training import loop as training
from laspa.training.batches import TrainingSet
from laspa.training.loop import train
from laspa.training.processes import Processes, SharedNorm, share_norms
from tests.made_up import InMemory

TINY = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "train.epochs": 2,
    "train.dev_every": 1,
    "train.batch_size": 8,
    "train.workers": 2,
    "train.crop_seconds": 0.3,
    "train.device": "cpu",
    "train.optimizer": "sgd",  # AdamW makes steps of the rounding errors of gradients that should be zero
    "train.learning_rate": 0.05,
    "loss_weights.grl": 0.1,
}
WORKERS = 2
BOTH_PARTS = Processes(0, 1, WORKERS)  # what is left when one of the two processes is lost


@pytest.fixture(scope="module")
def params() -> Params:
    return with_overrides(load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa"), TINY)


def part(rank: int) -> TrainingSet:
    """Half of six speakers' utterances; two languages."""
    generator = np.random.default_rng(rank)
    speaker = np.repeat(np.arange(3) + 3 * rank, 8)
    frames = np.random.default_rng(9).normal(size=(6, 12))[speaker].repeat(40, axis=0)
    frames = (frames + generator.normal(size=frames.shape)).astype(np.float16)
    language = (speaker + np.arange(24)) % 2 if rank else speaker % 2
    names = [f"{rank}/{row}" for row in range(24)]
    mels = InMemory(frames, np.full(24, 40))
    return TrainingSet(mels, speaker, language, list("abcdef"), ["de", "en"], 100.0, names)


def whole() -> TrainingSet:
    first, second = part(0), part(1)
    joined = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("speaker", "language")
    }
    frames = np.concatenate([first.mels.frames, second.mels.frames])
    return replace(first, mels=InMemory(frames, np.full(48, 40)), starts=(0, 24), **joined)


def falling(model: nn.Module) -> dict[str, float]:
    return {"eer": -float(model.speaker_encoder.norm.num_batches_tracked)}


def in_processes(work: Callable[..., None], folder: Path, *given: Any, idle: int = 0) -> None:
    """Run `work(processes, folder, *given)` in each of two processes that torch.distributed joins, beside
    others that do nothing."""
    there = WORKERS + idle
    folder.mkdir(exist_ok=True)

    def start(rank: int) -> None:
        torch.set_num_threads(1)
        meeting = f"file://{folder.resolve()}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=there)
        group = dist.new_group(list(range(WORKERS))) if idle else None
        if rank < WORKERS:
            work(Processes(rank, WORKERS, group=group), folder, *given)
        dist.destroy_process_group()

    started = [
        multiprocessing.get_context("fork").Process(target=start, args=[rank]) for rank in range(there)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=120)
    (folder / "meeting").unlink(missing_ok=True)
    assert [process.exitcode for process in started] == [0] * there


def train_part(processes: Processes, folder: Path, params: Params, until: int) -> None:
    """Train on this process's part and keep what comes out; stop after the epoch `until` has been saved."""

    class Killed(BaseException):
        pass

    def on_epoch(record: training.Record) -> None:
        if record["epoch"] == until:
            raise Killed

    state = folder / f"state-{processes.rank}"
    try:
        trained = train(
            params, part(processes.rank), torch.device("cpu"), falling, on_epoch, state, processes
        )
    except Killed:
        return
    save_file(trained.model.state_dict(), folder / f"weights-{processes.rank}")
    write_json(folder / f"history-{processes.rank}.json", trained.history)


@pytest.fixture(scope="module")
def together(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    in_processes(train_part, folder, params, 0, idle=1)
    return folder


def test_losses_and_weights_are_those_of_one_process_with_the_whole_batches(
    params: Params, together: Path, tmp_path: Path
) -> None:
    alone = train(
        params, whole(), torch.device("cpu"), falling, lambda record: None, tmp_path / "state", BOTH_PARTS
    )
    shared = read_json(together / "history-0.json")
    names = ("loss", *shared[0]["weighted"], "grad_norm")
    assert set(names) == {"loss", "aam", "nll", "mapc", "mse", "grl", "grad_norm"}
    for ours, theirs in zip(shared, alone.history, strict=True):
        assert [ours[name] for name in names] == pytest.approx([theirs[name] for name in names], rel=1e-4)
        for group in ("attention", "gradient", "flow"):
            assert ours[group] == pytest.approx(theirs[group], rel=1e-3)
    for name, value in load_file(together / "weights-0").items():
        torch.testing.assert_close(value, alone.model.state_dict()[name], atol=1e-4, rtol=1e-4, msg=name)


def test_all_processes_end_with_the_same_bits_and_only_the_first_writes_the_state(together: Path) -> None:
    first, second = load_file(together / "weights-0"), load_file(together / "weights-1")
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert read_json(together / "history-0.json") == read_json(together / "history-1.json")
    assert (together / "state-0").exists()
    assert not (together / "state-1").exists()


def test_killed_after_an_epoch_they_resume_and_end_with_the_same_bits(
    params: Params, together: Path, tmp_path: Path
) -> None:
    in_processes(train_part, tmp_path, params, 1)
    assert not (tmp_path / "weights-0").exists()
    in_processes(train_part, tmp_path, params, 0)
    for rank in range(WORKERS):
        expected = load_file(together / f"weights-{rank}")
        resumed = load_file(tmp_path / f"weights-{rank}")
        assert all(torch.equal(value, resumed[name]) for name, value in expected.items())
    assert read_json(tmp_path / "history-0.json") == read_json(together / "history-0.json")


def test_one_of_them_goes_on_alone_from_their_state_with_the_same_batches(
    params: Params, together: Path, tmp_path: Path
) -> None:
    in_processes(train_part, tmp_path, params, 1)
    state, device = tmp_path / "state-0", torch.device("cpu")
    alone = train(params, whole(), device, falling, lambda record: None, state, BOTH_PARTS)
    first, second = read_json(together / "history-0.json")
    assert alone.history[0] == first
    names = ("loss", *second["weighted"], "grad_norm")
    assert [alone.history[1][name] for name in names] == pytest.approx([second[n] for n in names], rel=1e-4)


def test_the_parts_of_a_batch_are_shared_evenly() -> None:
    assert [list(Processes(rank, 2, 4).own) for rank in range(2)] == [[0, 1], [2, 3]]
    assert list(Processes(2, 3).own) == [2]


def test_a_model_alone_keeps_torchs_norms() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    share_norms(model, Processes())
    assert type(model[0]) is nn.BatchNorm1d
    share_norms(model, Processes(0, 2))
    assert type(model[0]) is SharedNorm
    assert set(model.state_dict()) == {f"0.{name}" for name in nn.BatchNorm1d(3).state_dict()}
