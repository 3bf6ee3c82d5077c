"""Loss terms against hand-worked numbers, scipy and naive loops in float64."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from laspa.models.losses import AAMSoftmax, consistency, mapc, reverse_gradient


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


def test_speakers_that_do_not_compete_leave_the_softmax():
    generator = torch.Generator().manual_seed(0)
    embedding, centres = torch.randn(4, 3, generator=generator), torch.randn(5, 3, generator=generator)
    label, competitors = torch.tensor([0, 1, 0, 1]), torch.tensor([[True, True, True, False, False]] * 4)
    competitors[0, 0] = False  # the true speaker takes part all the same
    among_all = head_with(centres.tolist())(embedding, label, 0.2, 10.0, competitors)
    among_three = head_with(centres[:3].tolist())(embedding, label, 0.2, 10.0)
    assert among_all.item() == pytest.approx(among_three.item(), rel=1e-6)


def test_mapc_equals_scipy_in_all_readings():
    generator = np.random.default_rng(1)
    speaker, language = generator.normal(size=(20, 6)), generator.normal(size=(20, 6))
    per_dimension = np.mean([abs(pearsonr(speaker[:, d], language[:, d])[0]) for d in range(6)])
    per_utterance = np.mean([abs(pearsonr(speaker[i], language[i])[0]) for i in range(20)])
    both = torch.tensor(speaker), torch.tensor(language)
    assert mapc(*both, over="batch").item() == pytest.approx(per_dimension, rel=1e-5)
    assert mapc(*both, over="utterance").item() == pytest.approx(per_utterance, rel=1e-5)
    each_with_each = [abs(pearsonr(a, b)[0]) for a in speaker.T for b in language.T]
    assert mapc(*both, over="matrix").item() == pytest.approx(np.mean(each_with_each), rel=1e-5)


def test_the_matrix_sees_what_two_embeddings_share_in_different_dimensions():
    x = torch.eye(4, dtype=torch.float64)[:, :2]  # two dimensions, both uncorrelated but for the mean
    x = x - x.mean(dim=0)
    x = torch.linalg.qr(x).Q
    swapped = x.flip(dims=[1])
    assert mapc(x, swapped, over="batch").item() < 0.4
    assert mapc(x, swapped, over="matrix").item() >= 0.5


def test_mapc_is_one_for_a_mirrored_copy_and_zero_for_a_constant():
    x = torch.randn(10, 4)
    assert mapc(x, -3 * x + 1, over="batch").item() == pytest.approx(1.0, abs=1e-5)
    assert mapc(x, torch.ones(10, 4), over="batch").item() == pytest.approx(0.0, abs=1e-5)


def test_consistency_is_the_mean_over_pairs_of_one_speaker_in_two_languages():
    # Speaker 0 says (1, 0) and (3, 4) in two languages: cosine 0.6. Speaker 1 says both in one language.
    embedding = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 1.0], [0.0, -1.0]])
    speaker, language = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    assert consistency(embedding, speaker, language).item() == pytest.approx(0.4)
    assert consistency(embedding, torch.arange(4), language).item() == 0.0


def test_reversed_gradient_changes_sign_only():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x)
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    assert torch.equal(y.detach(), x.detach())
    assert x.grad.tolist() == [-3.0, -5.0]
