"""Encoders and pooling: shapes, masks, and independence of padding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from laspa.errors import LaspaError
from laspa.models.encoders import ENCODERS, check_encoders
from laspa.models.pooling import AttentiveStatistics, length_mask, masked_mean
from laspa.params import load_params, with_overrides


@pytest.mark.parametrize("name", ["tdnn", "tdnn_small"])  # the others: test_backbones.py
@pytest.mark.parametrize("frames", [37, 40, 41, 42, 43])
def test_padding_changes_no_embedding(name, frames):
    torch.manual_seed(0)
    encoder = ENCODERS[name](20, 12)
    encoder(torch.randn(8, 60, 20))  # moves the batch norms' statistics away from their start
    encoder.eval()
    mel = torch.randn(2, 60, 20)
    padded, hidden = encoder(mel, torch.tensor([60, frames]))
    alone, alone_hidden = encoder(mel[1:, :frames])
    torch.testing.assert_close(padded[1:], alone)
    torch.testing.assert_close(hidden[1, : alone_hidden.shape[1]], alone_hidden[0])
    assert hidden[1, alone_hidden.shape[1] :].abs().sum() == 0
    assert padded.shape == (2, 12)
    assert hidden.shape[1:] == (-(-60 // encoder.stride), encoder.frame_dim)


@pytest.mark.parametrize("key", ["model.speaker_encoder", "model.language_encoder"])
def test_an_unknown_encoder_is_named_with_those_there_are(key):
    params = with_overrides(
        load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa"), {key: "tdn"}
    )
    with pytest.raises(LaspaError) as error:
        check_encoders(params.model)
    assert str(error.value) == f"params.yaml: {key} is 'tdn' but should be one of {', '.join(ENCODERS)}"


def test_the_names_are_known_without_torch():
    program = "import sys, laspa.models.encoders; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("lengths", [None, [5, 2]])
def test_a_masked_mean_and_its_gradient_are_those_of_the_real_frames(shape, lengths):
    hidden = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = None if lengths is None else length_mask(torch.tensor(lengths), 5)
    expected = torch.stack(
        [row[..., :length].flatten(1).mean(1) for row, length in zip(hidden, lengths or [5, 5], strict=True)]
    )
    torch.testing.assert_close(masked_mean(hidden, mask), expected)
    assert torch.autograd.gradcheck(lambda given: masked_mean(given, mask), hidden.requires_grad_())


def test_uniform_attention_gives_mean_and_deviation():
    pool = AttentiveStatistics(1)
    for parameter in pool.parameters():
        torch.nn.init.zeros_(parameter)
    frames = torch.tensor([[[1.0, 2.0, 6.0, 99.0]]])
    pooled = pool(frames, length_mask(torch.tensor([3]), 4))
    # Mean of 1, 2, 6 is 3; variance (4 + 1 + 9) / 3.
    torch.testing.assert_close(pooled, torch.tensor([[3.0, (14 / 3) ** 0.5]]))


def test_constant_frames_have_a_finite_gradient():
    frames = torch.ones(1, 4, 5, requires_grad=True)
    AttentiveStatistics(4)(frames).sum().backward()
    assert torch.isfinite(frames.grad).all()
