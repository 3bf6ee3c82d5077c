"""Loss terms against hand-worked numbers, scipy and naive loops in float64."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from laspa.models.losses import AAMSoftmax, distance_correlation, mapc, mapc_floor, reverse_gradient


def head_with(centres: list[list[float]]) -> AAMSoftmax:
    head = AAMSoftmax(len(centres[0]), len(centres))
    with torch.no_grad():
        head.centres.copy_(torch.tensor(centres))
    return head


def naive_aam(
    embedding: np.ndarray, centres: np.ndarray, label: np.ndarray, margin: float, scale: float
) -> float:
    total = 0.0
    for row, true in zip(embedding, label, strict=True):
        logits = []
        for index, centre in enumerate(centres):
            cosine = row @ centre / np.linalg.norm(row) / np.linalg.norm(centre)
            if index == true:
                angle = math.acos(cosine)
                shifted = math.cos(angle + margin)
                cosine = shifted if angle + margin < math.pi else cosine - margin * math.sin(margin)
            logits.append(scale * cosine)
        total += -logits[true] + math.log(sum(math.exp(logit) for logit in logits))
    return total / len(label)


def test_aam_of_a_right_angle_is_worked_by_hand():
    # The embedding lies on the true centre: cosines 1 and 0; the margin turns the 1 into cos 0.5.
    loss = head_with([[1.0, 0.0], [0.0, 1.0]])(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), 0.5, 1.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-math.cos(0.5))), abs=2e-4)


def test_the_nearest_sub_centre_of_a_class_counts():
    # Cosines with the centres of class 0: 0 and 1; of class 1: 0 and -1. The nearest give 1 and 0, as above.
    head = AAMSoftmax(2, 2, sub_centres=2)
    with torch.no_grad():
        head.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    loss = head(torch.tensor([[0.0, 2.0]]), torch.tensor([0]), 0.5, 1.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-math.cos(0.5))), abs=2e-4)


def test_aam_keeps_float32_under_autocast():
    generator = torch.Generator().manual_seed(0)
    head = head_with(torch.randn(5, 8, generator=generator).tolist())
    embedding, label = torch.randn(6, 8, generator=generator), torch.arange(6) % 5
    with torch.autocast("cpu", torch.bfloat16):
        under = head(embedding, label, 0.3, 30.0)
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, head(embedding, label, 0.3, 30.0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_aam_equals_a_naive_derivation_in_float64(margin):
    generator = np.random.default_rng(0)
    embedding, centres = generator.normal(size=(64, 3)), generator.normal(size=(5, 3))
    label = generator.integers(5, size=64)
    ours = head_with(centres.tolist())(torch.tensor(embedding).float(), torch.tensor(label), margin, 8.0)
    assert ours.item() == pytest.approx(naive_aam(embedding, centres, label, margin, 8.0), rel=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_aam_is_finite_at_both_poles(sign, dtype):
    head = head_with([[1.0, 0.0], [0.0, 1.0]])
    embedding = torch.tensor([[sign, 0.0]], dtype=dtype, requires_grad=True)
    loss = head(embedding, torch.tensor([0]), 0.2, 30.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embedding.grad).all()
    assert torch.isfinite(head.centres.grad).all()


def test_aam_falls_all_the_way_as_the_embedding_turns_to_its_centre():
    # The other centre stands at right angles to the path, so only the true logit changes.
    head = head_with([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    angles = torch.linspace(math.pi, 0, 50)
    path = torch.stack([angles.cos(), angles.sin(), torch.zeros(50)], dim=1)
    losses = [head(point[None], torch.tensor([0]), 0.3, 10.0).item() for point in path]
    assert all(later <= earlier + 1e-4 for earlier, later in pairwise(losses))
    assert losses[0] > losses[-1] + 5


def test_mapc_equals_scipy_in_both_readings():
    generator = np.random.default_rng(1)
    speaker, language = generator.normal(size=(20, 6)), generator.normal(size=(20, 6))
    per_dimension = np.mean([abs(pearsonr(speaker[:, d], language[:, d])[0]) for d in range(6)])
    per_utterance = np.mean([abs(pearsonr(speaker[i], language[i])[0]) for i in range(20)])
    both = torch.tensor(speaker), torch.tensor(language)
    assert mapc(*both, over="batch").item() == pytest.approx(per_dimension, rel=1e-5)
    assert mapc(*both, over="utterance").item() == pytest.approx(per_utterance, rel=1e-5)


def test_mapc_is_one_for_a_mirrored_copy_and_zero_for_a_constant():
    x = torch.randn(10, 4)
    assert mapc(x, -3 * x + 1, over="batch").item() == pytest.approx(1.0, abs=1e-5)
    assert mapc(x, torch.ones(10, 4), over="batch").item() == pytest.approx(0.0, abs=1e-5)


def test_distance_correlation_is_that_of_the_definition_and_sees_what_correlation_does_not():
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=(12, 3)), generator.normal(size=(12, 2))

    def centred(x):  # U-centring, element by element (Székely and Rizzo, 2014)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        n, d = len(x), np.array([[math.dist(p, q) for q in x] for p in x])
        u = np.zeros_like(d)
        for i in range(n):
            for j in range(n):
                if i != j:
                    u[i, j] = d[i, j] - d[i].sum() / (n - 2) - d[:, j].sum() / (n - 2)
                    u[i, j] += d.sum() / ((n - 1) * (n - 2))
        return u

    u, v = centred(a), centred(b)
    expected = (u * v).sum() / math.sqrt((u * u).sum() * (v * v).sum())
    assert distance_correlation(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected, rel=1e-4)
    angle = torch.linspace(0, 2 * math.pi, 401, dtype=torch.float64)[:400]
    once = torch.stack([angle.cos(), angle.sin()], dim=1)
    twice = torch.stack([(2 * angle).cos(), (2 * angle).sin()], dim=1)  # a function of it
    assert mapc(once, twice, over="batch").item() < 1e-6
    assert distance_correlation(once, twice).item() > 0.01
    assert abs(distance_correlation(once, once[torch.randperm(400)]).item()) < 0.01


def test_the_language_embedding_is_held_by_distance_correlation_alone():
    for over, moved in (("batch", True), ("utterance", True), ("distance", False)):
        speaker, language = (torch.randn(8, 4, requires_grad=True) for _ in range(2))
        mapc(speaker, language, over=over).backward()
        assert speaker.grad.abs().sum() > 0
        assert (language.grad is not None) == moved


def test_the_floor_of_mapc_is_what_independent_embeddings_have():
    assert mapc_floor(4) == pytest.approx(0.5)  # r is then uniform on -1 … 1
    assert mapc_floor(64) == pytest.approx(math.sqrt(2 / (math.pi * 64)), rel=0.02)
    generator = torch.Generator().manual_seed(3)
    for samples in (16, 64):
        both = torch.randn(2, samples, 20000, generator=generator)
        assert mapc(*both, over="batch").item() == pytest.approx(mapc_floor(samples), rel=0.02)


def test_reversed_gradient_changes_sign_only():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x)
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    assert torch.equal(y.detach(), x.detach())
    assert x.grad.tolist() == [-3.0, -5.0]
