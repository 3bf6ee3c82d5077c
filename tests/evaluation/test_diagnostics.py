"""Attention and gradients of small systems, against what is known of them and a plain backward pass."""

from pathlib import Path

import numpy as np
import pytest
import torch

from laspa.evaluation.diagnostics import BY_ATTENTION, SEGMENTS, attention_profile, gradient_norms
from laspa.models.laspa import Laspa
from laspa.params import load_params, with_overrides
from tests.small_training import SMALL

BASELINE = {"loss_weights.nll": 0, "loss_weights.mapc": 0, "loss_weights.mse": 0}
CPU = torch.device("cpu")


def build(**changes) -> Laspa:
    torch.manual_seed(0)
    params = with_overrides(
        load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa"), SMALL | changes
    )
    return Laspa(params, num_mels=20, num_speakers=5, num_languages=3).eval()


class Mels:
    """Two utterances, standing for the features on disk."""

    def get(self, name: str) -> np.ndarray:
        frames = {"short": 60, "long": 110}[name]
        return np.random.default_rng(frames).normal(size=(frames, 20)).astype(np.float16)


def test_attention_on_every_token_alike_is_uniform():
    model = build()
    for tuner in model.fusion.values():
        torch.nn.init.zeros_(tuner.query.weight)
    found = attention_profile(model, Mels(), ["short", "long"], CPU)
    assert list(found) == ["language", "speaker"]
    for side in found.values():
        prefix, content = np.array(side["prefix"]), np.array(side["content"])
        assert prefix.shape == (2, 3)
        assert content.shape == (2, SEGMENTS)
        np.testing.assert_allclose(prefix.sum(axis=1), side["uniform_prefix"], rtol=1e-5)
        np.testing.assert_allclose(prefix.sum(axis=1) + content.sum(axis=1), 1, rtol=1e-5)


def test_attention_is_found_where_the_model_puts_it():
    """Prefix keys that every query meets alike and content that none does: all weight on one token."""
    model = build()
    with torch.no_grad():
        for tuner in model.fusion.values():
            tuner.query.weight.zero_()
            tuner.key.weight.zero_()
            tuner.prefix_key.zero_()
            tuner.prefix_key[1] = 1.0
            tuner.query.register_forward_hook(lambda module, inputs, output: torch.full_like(output, 40.0))
    for side in attention_profile(model, Mels(), ["short"], CPU).values():
        np.testing.assert_allclose(side["prefix"], [[0, 1, 0], [0, 1, 0]], atol=1e-6)


def test_one_pooled_token_stands_in_the_first_segment():
    found = attention_profile(build(**{"model.keys": "pooled"}), Mels(), ["short"], CPU)
    content = np.array(found["speaker"]["content"])
    assert (content[:, 0] > 0).all()
    assert not content[:, 1:].any()


@pytest.mark.parametrize("changes", [BASELINE, {"model.fusion": "concat"}])
def test_without_tuners_there_is_no_attention(changes):
    assert attention_profile(build(**changes), Mels(), ["short"], CPU) == {}


def batch():
    torch.manual_seed(1)
    return torch.randn(6, 40, 20), torch.arange(6) % 5, torch.arange(6) % 3


def test_norms_are_those_of_a_backward_pass():
    model = build()
    found = gradient_norms(model, *batch())
    assert set(found["speaker_encoder"]) == {"aam", "mapc", "mse", BY_ATTENTION}
    assert set(found["language_encoder"]) == {"nll", "mapc", "mse", BY_ATTENTION}
    mel, speaker, language = batch()
    terms = model.loss_terms(model(mel), mel, speaker, language, model.system.aam_margin)
    (model.system.loss_weights.mse * terms["mse"]).backward()
    squares = [w.grad.square().sum() for w in model.language_encoder.parameters() if w.grad is not None]
    assert found["language_encoder"]["mse"] == pytest.approx(float(sum(squares).sqrt()), rel=1e-4)
    assert 0 < found["language_encoder"][BY_ATTENTION] < found["language_encoder"]["mse"]


def test_values_that_are_zero_let_no_gradient_through_attention():
    model = build()
    for tuner in model.fusion.values():
        torch.nn.init.zeros_(tuner.value.weight)
        torch.nn.init.zeros_(tuner.prefix_value)
    found = gradient_norms(model, *batch())
    assert found["language_encoder"][BY_ATTENTION] == 0
    assert found["language_encoder"]["mse"] > 0
    assert not any(tuner._forward_pre_hooks for tuner in model.fusion.values())


def test_the_baseline_has_one_part_and_one_term():
    assert list(gradient_norms(build(**BASELINE), *batch())) == ["speaker_encoder"]
    assert list(gradient_norms(build(**BASELINE), *batch())["speaker_encoder"]) == ["aam"]
