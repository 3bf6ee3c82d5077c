"""A training run of seconds: four artificial voices and the smallest encoders."""

from pathlib import Path

import numpy as np
import pytest
import torch

from laspa.params import Params, load_params, with_overrides
from laspa.training.batches import TrainingSet
from laspa.training.loop import train
from tests.made_up import InMemory

SMALL = {  # a system for tests that do not train it
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 24,
    "model.decoder_dim": 8,
    "prefix_len": 3,
    "num_heads": 2,
    "model.keys": "frames",
    "model.content_dim": 8,
    "model.centring": "none",
}
TINY = {
    "model.keys": "frames",
    "model.content_dim": 8,
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "train.epochs": 3,
    "train.dev_every": 1,
    "train.batch_size": 8,
    "train.crop_seconds": 0.3,
    "train.device": "cpu",
    "train.threads": 1,
}


def small_params() -> Params:
    return with_overrides(load_params(Path(__file__).parents[1] / "params.yaml").resolve("laspa_plus"), TINY)


def small_data() -> TrainingSet:
    """Four speakers, each with a spectrum of its own, under noise; languages alternate."""
    generator = np.random.default_rng(0)
    speaker = np.repeat(np.arange(4), 10)
    spectrum = generator.normal(size=(4, 12))
    frames = np.concatenate([spectrum[s] + generator.normal(size=(40, 12)) for s in speaker])
    return TrainingSet(
        InMemory(frames.astype(np.float16), np.full(40, 40)),
        speaker,
        speaker % 2,
        list("abcd"),
        ["de", "en"],
        100.0,
        [f"{'abcd'[s]}/{row}" for row, s in enumerate(speaker)],
    )


class Killed(BaseException):
    """What stops a training from outside."""


def run_until_killed(params, data, state_file):
    """Train until the second epoch has ended, and leave the state of the last whole epoch."""

    def kill(record):
        if record["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        run(params, data, state_file, on_epoch=kill)


def run(params, data, state_file, dev=None, on_epoch=lambda record: None):
    """Train; unless told otherwise each epoch is better on dev than those before."""

    def falling(model):
        return {"eer": -float(model.speaker_encoder.norm.num_batches_tracked)}

    return train(params, data, torch.device("cpu"), dev or falling, on_epoch, state_file)
