"""The published backbones: sizes against the literature, padding, gradients, edge cases."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from laspa.errors import LaspaError
from laspa.models.campplus import SEGMENT, segment_means
from laspa.models.encoders import ENCODERS
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.models.pooling import (
    AttentiveStatistics,
    SelfAttentiveMean,
    SqueezeExcitation,
    length_mask,
    mirrored,
    statistics_pooling,
)
from laspa.models.prefix import PrefixTuner
from laspa.models.resnet import instance_norm
from laspa.params import load_params, with_overrides

# name: mels and embedding of the reference, its parameters in millions, where that figure is from.
REFERENCE = {
    "resnet34_s": (40, 512, 1.42),  # ResNetSE34L as voxceleb_trainer builds it; Chung et al. 2020: 1.4 M
    "resnet34_l": (80, 192, 7.05),  # ResNetSE34V2, ASP, counted in the public implementation at 80 mels
    "ecapa_512": (80, 192, 6.19),  # Desplanques et al. 2020: 6.2 M; SpeechBrain's: 6.19 M
    "ecapa_1024": (80, 192, 14.66),  # Desplanques et al. 2020: 14.7 M; WeSpeaker's: 14.66 M
    "redimnet_b0": (60, 192, 1.00),  # Yakovlev et al. 2024: 1.0 M
    "redimnet_b1": (72, 192, 2.12),  # counted in the public implementation; the paper rounds to 2.2 M
    "redimnet_b2": (72, 192, 4.70),  # Yakovlev et al. 2024: 4.7 M
    "campplus": (80, 512, 7.18),  # Wang et al. 2023: 7.18 M
    "wespeaker_resnet34": (80, 256, 6.63),  # counted in the public implementation, as the next two
    "wespeaker_ecapa_512": (80, 192, 6.19),
    "speechbrain_ecapa": (80, 192, 20.77),
}
MULTIPLES = {"redimnet_b1": 24, "redimnet_b2": 12}  # of which the number of mels must be one
ROOT = Path(__file__).parents[2]
SIZES_ON_PAGE = (ROOT / "docs/backbones.md").read_text(encoding="utf-8").partition("\n## ")[0]
LIMIT_PERCENT = 1.16  # of parameters that the published prefix-tuners add to the base model
MINIMUM_GRADIENT = 1e-12


def mels_of(name: str) -> int:
    return 24 if name in MULTIPLES else 16


@pytest.fixture(scope="module", params=REFERENCE)
def encoder(request: pytest.FixtureRequest) -> nn.Module:
    """In eval mode, normalising what it meets and with biases that padding would leak through."""
    torch.manual_seed(0)
    model = ENCODERS[request.param](mels_of(request.param), 12)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0  # one batch sets the running statistics
            if module.affine:
                nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, SqueezeExcitation):
            nn.init.ones_(module.gate[0].bias)  # else a bottleneck of two may be born dead
    model.num_mels = mels_of(request.param)
    with torch.no_grad():
        model(torch.randn(8, 40, model.num_mels))
    return model.eval()


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", REFERENCE)
def test_parameters_lie_within_two_percent_of_the_reference(name):
    num_mels, embedding_dim, millions = REFERENCE[name]
    with torch.device("meta"):
        model = ENCODERS[name](num_mels, embedding_dim)
    assert count(model) == pytest.approx(1e6 * millions, rel=0.02)


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 30, 205])
def test_padding_changes_neither_embeddings_nor_frames(encoder, frames):
    torch.manual_seed(frames)
    longest = frames + 11
    mel = torch.randn(2, longest, encoder.num_mels)
    mel[1, frames:] = 1e4  # padding must not matter
    embedding, hidden = encoder(mel, torch.tensor([longest, frames]))
    alone, alone_hidden = encoder(mel[1:, :frames])
    full, full_hidden = encoder(mel[:1])
    steps = -(-frames // encoder.stride)
    assert embedding.shape == (2, 12)
    assert hidden.shape == (2, -(-longest // encoder.stride), encoder.frame_dim)
    assert alone_hidden.shape == (1, steps, encoder.frame_dim)
    torch.testing.assert_close(embedding, torch.cat([full, alone]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hidden[1, :steps], alone_hidden[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hidden[0], full_hidden[0], rtol=1e-4, atol=1e-4)
    assert hidden[1, steps:].abs().sum() == 0


def test_gradient_reaches_every_weight(encoder):
    torch.manual_seed(1)
    mel = torch.randn(4, 40, encoder.num_mels)
    encoder.train()
    try:
        embedding, _ = encoder(mel, torch.tensor([40, 40, 33, 25]))
        (embedding.square() * torch.randn(4, 12)).sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            # Biases before a normalisation or a softmax have none, by symmetry.
            if parameter.ndim > 1:
                assert parameter.grad.abs().max() > MINIMUM_GRADIENT, name
    finally:
        encoder.zero_grad()
        encoder.eval()


def test_constant_input_is_finite_with_finite_gradients(encoder):
    mel = torch.full((2, 30, encoder.num_mels), -7.0, requires_grad=True)
    embedding, hidden = encoder(mel)
    embedding.square().sum().backward()
    assert torch.isfinite(embedding).all()
    assert torch.isfinite(hidden).all()
    assert torch.isfinite(mel.grad).all()
    encoder.zero_grad()


def test_order_of_the_utterances_does_not_matter_but_content_does(encoder):
    torch.manual_seed(2)
    mel = torch.randn(2, 30, encoder.num_mels)
    with torch.no_grad():
        forwards, backwards = encoder(mel)[0], encoder(mel.flip(0))[0]
    torch.testing.assert_close(forwards, backwards.flip(0), rtol=1e-4, atol=1e-4)
    assert (forwards[0] - forwards[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("num_mels", [40, 80])
def test_common_numbers_of_mels_work_or_are_refused_by_name(name, num_mels):
    if name in MULTIPLES:
        with pytest.raises(
            LaspaError, match=rf"num_mels is {num_mels} but {name} needs a multiple of {MULTIPLES[name]};.*72"
        ):
            ENCODERS[name](num_mels, 16)
        return
    with torch.device("meta"):
        model = ENCODERS[name](num_mels, 16)
        embedding, hidden = model.eval()(torch.zeros(2, 21, num_mels))
    assert embedding.shape == (2, 16)
    assert hidden.shape == (2, -(-21 // model.stride), model.frame_dim)


@pytest.mark.parametrize("name", REFERENCE)
def test_prefix_tuners_add_at_most_the_published_share(name):
    shares = [added_by_tuners(name, system) for system in ("laspa", "laspa_plus")]
    assert 0 < max(shares) <= LIMIT_PERCENT
    row = re.search(rf"^\| `{name}` \|.*$", SIZES_ON_PAGE, re.MULTILINE)
    if row is not None:  # variants for public weights have none
        assert "{:.2f} %, {:.2f} %".format(*shares) in row[0]


def added_by_tuners(name: str, system: str) -> float:
    """In per cent of the encoder's parameters, at the mels of docs/backbones.md."""
    num_mels = REFERENCE[name][0] if name.startswith("redimnet") else 80
    params = with_overrides(
        load_params(ROOT / "params.yaml").resolve(system), {"model.speaker_encoder": name}
    )
    assert (params.prefix_len, params.num_heads, params.model.embedding_dim) == (8, 2, 192)
    with torch.device("meta"):
        model = Laspa(params.as_system(), num_mels, num_speakers=2, num_languages=2)
    assert all(isinstance(tuner, PrefixTuner) for tuner in model.fusion.values())
    return added_parameters_percent(model.parameter_counts())


def test_statistics_pooling_is_numpys_mean_and_deviation_of_real_frames():
    frames = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))
    pooled = statistics_pooling(frames, length_mask(torch.tensor([9, 4]), 9))
    for row, length in enumerate([9, 4]):
        real = frames[row, :, :length].numpy()
        expected = np.concatenate([real.mean(axis=1), real.std(axis=1)])
        np.testing.assert_allclose(pooled[row].numpy(), expected, rtol=1e-5)


def test_frames_are_mirrored_at_the_ends_of_each_utterance():
    frames = torch.tensor([[[1.0, 2, 3, 4, 5]], [[6.0, 7, 8, 0, 0]], [[9.0, 0, 0, 0, 0]]])
    whole = mirrored(frames[:1], None, 3)
    assert whole.tolist() == [[[4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2]]]
    torch.testing.assert_close(whole, torch.nn.functional.pad(frames[:1], (3, 3), mode="reflect"))
    parts = mirrored(frames, length_mask(torch.tensor([5, 3, 1]), 5), 3)
    assert parts[0].tolist() == whole[0].tolist()
    assert parts[1, 0, :9].tolist() == [7, 8, 7, 6, 7, 8, 7, 6, 7]  # of three frames, as often as needed
    assert parts[2].unique().tolist() == [9]


def test_global_context_is_a_projection_of_frame_mean_and_deviation():
    torch.manual_seed(0)
    pool = AttentiveStatistics(3, bottleneck=5, global_context=True)
    frames = torch.randn(1, 3, 7)
    # As the paper writes it: one matrix over each frame beside the utterance's statistics.
    first, _, last = pool.score
    joint = torch.cat([first.weight[:, :, 0], pool.context.weight], dim=1)
    statistics = torch.cat([frames[0].mean(dim=1), frames[0].std(dim=1, unbiased=False)])
    scores = torch.stack(
        [
            last.weight[:, :, 0] @ torch.tanh(joint @ torch.cat([frames[0, :, t], statistics]) + first.bias)
            for t in range(7)
        ],
        dim=1,
    )
    weights = scores.softmax(dim=1)
    mean = (weights * frames[0]).sum(dim=1)
    deviation = (weights * (frames[0] - mean[:, None]) ** 2).sum(dim=1).sqrt()
    torch.testing.assert_close(pool(frames)[0], torch.cat([mean, deviation]), rtol=1e-4, atol=1e-5)


def test_self_attentive_mean_with_equal_scores_is_the_mean_of_real_frames():
    pool = SelfAttentiveMean(1)
    for parameter in pool.parameters():
        nn.init.zeros_(parameter)
    pooled = pool(torch.tensor([[[1.0, 2.0, 6.0, 99.0]]]), length_mask(torch.tensor([3]), 4))
    torch.testing.assert_close(pooled, torch.tensor([[3.0]]))


def test_squeeze_excitation_scales_by_the_gate_of_the_masked_mean():
    block = SqueezeExcitation(1, 1)
    first, _, second, _ = block.gate
    for layer, weight, bias in ((first, 1.0, 0.0), (second, 1.0, -3.0)):
        nn.init.constant_(layer.weight, weight)
        nn.init.constant_(layer.bias, bias)
    # Mean of 1, 2, 6 over two mels and three real frames is 3: the gate is sigmoid(3 − 3) = 0.5.
    hidden = torch.tensor([1.0, 2.0, 6.0, 99.0]).expand(1, 1, 2, 4)
    scaled = block(hidden, length_mask(torch.tensor([3]), 4))
    torch.testing.assert_close(scaled, hidden / 2)


def test_segment_means_are_means_of_real_frames_of_each_hundred():
    frames = torch.arange(2.0 * SEGMENT + 50).view(1, 1, -1).repeat(2, 1, 1)
    mask = length_mask(torch.tensor([250, 130]), 250)
    means = segment_means(frames * mask[:, None, :], mask)
    # 0 … 99: 49.5; 100 … 199: 149.5; 200 … 249: 224.5. Of the second row 100 … 129: 114.5, then none.
    torch.testing.assert_close(means[:, 0], torch.tensor([[49.5, 149.5, 224.5], [49.5, 114.5, 0.0]]))
    torch.testing.assert_close(segment_means(frames[:1], None), means[:1])


def test_instance_norm_is_torchs_on_real_frames():
    mel = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0)) * 3 + 1
    normed = instance_norm(mel, length_mask(torch.tensor([12, 7]), 12))
    torch.testing.assert_close(normed[:1], nn.functional.instance_norm(mel[:1]))
    torch.testing.assert_close(normed[1:, :, :7], nn.functional.instance_norm(mel[1:, :, :7]))
    assert normed[1, :, 7:].abs().sum() == 0
