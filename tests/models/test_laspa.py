"""Systems put together from params: which parts exist, what flows where, a pinned loss."""

from pathlib import Path

import pytest
import torch

from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.models.losses import TERMS
from laspa.params import Params, load_params, with_overrides
from laspa.params.dotted import flatten
from tests.small_training import SMALL


@pytest.fixture(scope="module")
def params() -> Params:
    return with_overrides(load_params(Path(__file__).parents[2] / "params.yaml"), SMALL)


def build(params: Params, **changes) -> Laspa:
    torch.manual_seed(0)
    return Laspa(with_overrides(params, changes), num_mels=20, num_speakers=5, num_languages=3)


def batch():
    torch.manual_seed(1)
    return torch.randn(6, 41, 20), torch.arange(6) % 5, torch.arange(6) % 3


def total_loss(model: Laspa) -> tuple[torch.Tensor, dict]:
    mel, speaker, language = batch()
    terms = model.loss_terms(model(mel), mel, speaker, language, margin=0.2)
    return sum(getattr(model.system.loss_weights, name) * value for name, value in terms.items()), terms


@pytest.mark.parametrize(
    ("system", "terms", "parts"),
    [
        ("baseline", {"aam"}, {"speaker_encoder"}),
        ("grl", {"aam", "grl"}, {"speaker_encoder"}),
        ("grl_mapc", {"aam", "grl", "nll", "mapc"}, {"speaker_encoder", "language_encoder"}),
        ("no_mse", {"aam", "nll", "mapc"}, {"speaker_encoder", "language_encoder"}),
        (
            "laspa",
            {"aam", "nll", "mapc", "mse"},
            {"speaker_encoder", "language_encoder", "fusion", "decoder"},
        ),
        (
            "concat",
            {"aam", "nll", "mapc", "mse"},
            {"speaker_encoder", "language_encoder", "fusion", "decoder"},
        ),
    ],
)
def test_each_system_has_its_terms_and_only_the_parts_it_trains(params, system, terms, parts):
    model = build(params, **flatten(params.systems[system]))
    loss, computed = total_loss(model)
    assert set(computed) == terms
    counts = model.parameter_counts()
    assert {name for name, count in counts.items() if count and name != "total"} == parts
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", load_params(Path(__file__).parents[2] / "params.yaml").systems)
def test_what_a_system_does_not_read_changes_neither_weights_nor_loss(params, name):
    system = params.resolve(name)
    plain, other = build(system), build(with_overrides(system, system.unread()))
    for key, weight in plain.state_dict().items():
        assert torch.equal(weight, other.state_dict()[key]), key
    assert plain.state_dict().keys() == other.state_dict().keys()
    assert total_loss(plain)[0] == total_loss(other)[0]
    assert ("prefix_len" in system.unread()) == (
        name not in ("laspa", "laspa_frames", "laspa_plus", "no_prefix", "no_mapc", "no_nll")
    )


def test_each_loss_weight_has_a_row_in_the_table_of_terms_and_is_computed(params):
    assert set(TERMS) == set(params.loss_weights.model_dump())
    for name in TERMS:
        alone = {f"loss_weights.{other}": float(other == name) for other in TERMS}
        assert set(total_loss(build(params, **alone))[1]) == {name}
    everything = {f"loss_weights.{name}": 1.0 for name in TERMS}
    assert set(total_loss(build(params, **everything))[1]) == set(TERMS)


@pytest.mark.parametrize("keys", ["frames", "pooled"])
@pytest.mark.parametrize(("asks", "answers"), [("speaker", "language"), ("language", "speaker")])
def test_each_encoder_learns_through_the_other_ones_tuner(params, keys, asks, answers):
    model = build(params, **{"model.heads": "fused", "model.keys": keys})
    mel, *_ = batch()

    def gradient() -> float:
        encoder = model.get_submodule(f"{answers}_encoder")
        model.zero_grad()
        getattr(model(mel), asks)[:, 0].sum().backward()
        return sum(float(p.grad.abs().sum()) for p in encoder.parameters() if p.grad is not None)

    assert gradient() > 0
    model.fusion[asks].register_forward_pre_hook(lambda _, given: (given[0], given[1].detach(), *given[2:]))
    assert gradient() == 0


def test_the_adversary_pulls_the_embedding_the_other_way(params):
    model = build(params, **flatten(params.systems["grl"]))
    mel, speaker, language = batch()
    output = model(mel)
    terms = model.loss_terms(output, mel, speaker, language, margin=0.2)
    (reversed_gradient,) = torch.autograd.grad(terms["grl"], output.speaker)
    embedding = output.speaker.detach().requires_grad_()
    plain = torch.nn.functional.cross_entropy(model.adversary(embedding), language)
    (gradient,) = torch.autograd.grad(plain, embedding)
    assert gradient.abs().max() > 0
    torch.testing.assert_close(reversed_gradient, -gradient)


@pytest.mark.parametrize("changes", [{}, {"model.keys": "pooled"}, {"model.fusion": "concat"}])
@pytest.mark.parametrize("heads", ["encoder", "fused"])
def test_padding_changes_no_output_of_the_whole_model(params, changes, heads):
    model = build(params, **changes, **{"model.heads": heads}).eval()
    mel, *_ = batch()
    padded = model(mel, torch.tensor([41, 30, 41, 41, 41, 41]))
    alone = model(mel[1:2, :30])
    torch.testing.assert_close(padded.speaker[1:2], alone.speaker)
    torch.testing.assert_close(padded.language[1:2], alone.language)
    torch.testing.assert_close(padded.reconstruction[1:2, :30], alone.reconstruction)


def test_heads_on_encoder_embeddings_need_no_fusion_at_inference(params):
    model = build(params).eval()
    mel, *_ = batch()
    torch.testing.assert_close(model(mel).speaker, model.speaker_encoder(mel)[0])
    fused = build(params, **{"model.heads": "fused"}).eval()
    assert not torch.allclose(fused(mel).speaker, fused.speaker_encoder(mel)[0])


def test_added_parameters_are_the_fusions_share_of_the_speaker_encoder(params):
    counts = build(params).parameter_counts()
    assert added_parameters_percent(counts) == pytest.approx(
        100 * counts["fusion"] / counts["speaker_encoder"]
    )
    # Two tuners: Q and O are 24 × 4, K and V 64 × 4, prefixes 3 × 4 each, LayerNorm 2 × 24.
    by_hand = sum(2 * 24 * 4 + 2 * width * 4 + 2 * 3 * 4 + 2 * 24 for width in (64, 64))
    assert counts["fusion"] == by_hand


def test_the_prefix_mass_of_equal_logits_is_the_prefixes_share_of_the_tokens(params):
    model = build(params)
    for name in ("speaker", "language"):
        torch.nn.init.zeros_(model.fusion[name].query.weight)
    mel, *_ = batch()
    mass = model.prefix_mass(model(mel))
    assert mass["speaker"].item() == pytest.approx(3 / (3 + 11), rel=1e-5)
    assert model.prefix_mass(build(params, **{"model.fusion": "concat"})(mel)) == {}
