"""Training: it learns, goes on bit for bit after a kill, and stops on what is not finite."""

from pathlib import Path

import numpy as np
import pytest
import torch

from laspa.checkpoint import load_model, save_model
from laspa.data import TrainingSet
from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from laspa.training import best_record, learning_rate_factor, train

TINY = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "train.epochs": 3,
    "train.batch_size": 8,
    "train.crop_seconds": 0.3,
    "train.device": "cpu",
    "train.threads": 1,
}


@pytest.fixture(scope="module")
def params():
    return with_overrides(load_params(Path(__file__).parents[1] / "params.yaml"), TINY)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """Four speakers, each with a spectrum of its own, under noise; languages alternate."""
    generator = np.random.default_rng(0)
    speaker = np.repeat(np.arange(4), 10)
    spectrum = generator.normal(size=(4, 12))
    frames = np.concatenate([spectrum[s] + generator.normal(size=(40, 12)) for s in speaker])
    offsets = np.arange(41) * 40
    return TrainingSet(
        frames.astype(np.float16), offsets, speaker, speaker % 2, list("abcd"), ["de", "en"], 100.0
    )


def run(params, data, state_file, dev=None, on_epoch=lambda record: None):
    """Train; unless told otherwise each epoch is better on dev than those before."""

    def falling(model):
        return {"eer": -float(model.speaker_encoder.norm.num_batches_tracked)}

    return train(params, data, torch.device("cpu"), dev or falling, on_epoch, state_file)


def test_every_loss_falls_and_the_record_holds_what_was_watched(params, data, tmp_path):
    trained = run(with_overrides(params, {"train.epochs": 8}), data, tmp_path / "state")
    first, last = trained.history[0], trained.history[-1]
    assert last["nll"] < first["nll"]
    assert last["mse"] < first["mse"]
    assert last["margin"] == params.aam_margin
    assert last["grl"] is None
    weighted = sum(getattr(params.loss_weights, name) * last[name] for name in ("aam", "nll", "mapc", "mse"))
    assert last["loss"] == pytest.approx(weighted, rel=1e-5)
    assert set(last["attention"]) == {"speaker", "language"}
    mel = torch.from_numpy(data.frames.reshape(40, 40, 12)).float()
    embedding = torch.nn.functional.normalize(trained.model.eval()(mel).speaker)
    centres = torch.nn.functional.normalize(trained.model.speaker_head.centres)
    assert ((embedding @ centres.T).argmax(dim=1).numpy() == data.speaker).mean() > 0.9


def test_a_run_killed_in_its_second_epoch_ends_with_the_same_bits(params, data, tmp_path):
    whole = run(params, data, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(record):
        if record["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        run(params, data, tmp_path / "broken", on_epoch=kill)
    records = []
    resumed = run(params, data, tmp_path / "broken", on_epoch=records.append)
    assert resumed.history == whole.history == records
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_the_best_dev_epoch_is_kept(params, data, tmp_path):
    eers = iter([0.4, 0.1, 0.3])
    weights = []

    def dev(model):
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"eer_cross_same": next(eers)}

    trained = run(params, data, tmp_path / "state", dev=dev)
    assert trained.best_epoch == 2
    assert all(torch.equal(value, weights[1][name]) for name, value in trained.model.state_dict().items())
    assert best_record([{"dev": {"a": 0.2}, "epoch": 1}, {"dev": {"a": 0.2}, "epoch": 2}])["epoch"] == 1


def test_a_loss_that_is_not_finite_names_term_epoch_and_step(params, data, tmp_path):
    frames = data.frames.copy()
    frames[:40] = np.inf
    broken = TrainingSet(**{**data.__dict__, "frames": frames})
    with pytest.raises(LaspaError, match=r"training: \w+ is (nan|inf) in epoch 1, step \d"):
        run(params, broken, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_the_loss_under_a_fixed_seed_is_pinned(params, data, tmp_path):
    history = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").history
    # What the code gave when it was written: a refactor that leaves the mathematics alone leaves this alone.
    assert history[0]["loss"] == pytest.approx(5.143682, rel=1e-3)


def test_the_schedule_warms_up_then_falls_to_zero():
    factors = [learning_rate_factor(x, 0.1) for x in (0.05, 0.1, 0.55, 1.0)]
    assert factors == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_a_saved_model_comes_back_and_a_damaged_one_is_named(params, data, tmp_path):
    model = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", model, 12, data.speakers, data.languages)
    loaded, config = load_model(tmp_path / "model")
    mel = torch.randn(2, 40, 12)
    torch.testing.assert_close(loaded.eval()(mel).speaker, model.eval()(mel).speaker)
    assert config["languages"] == ["de", "en"]
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(LaspaError, match="not a whole safetensors file"):
        load_model(tmp_path / "model")
