"""Centring by language: against means worked out by hand, and that an offset of the language goes."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from laspa.errors import LaspaError
from laspa.models.centring import MOMENTUM, LanguageCentring
from laspa.models.laspa import Laspa
from laspa.params import load_params, with_overrides

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_means_follow_the_languages_that_a_batch_holds():
    centring = LanguageCentring(3, 2)
    centring.follow(torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.0, -1.0]]), torch.tensor([0, 0, 2]))
    assert centring.means.tolist() == [[0.5, 0.5], [0.0, 0.0], [0.0, -1.0]]
    centring.follow(torch.tensor([[-3.0, 0.0]]), torch.tensor([0]))
    moved = [0.5 + MOMENTUM * (-1.0 - 0.5), 0.5 + MOMENTUM * (0.0 - 0.5)]
    torch.testing.assert_close(centring.means, torch.tensor([moved, [0.0, 0.0], [0.0, -1.0]]))


def test_what_is_taken_away_is_the_posteriors_mixture_of_offsets():
    centring = LanguageCentring(2, 2)
    centring.means.copy_(torch.tensor([[0.6, 0.0], [0.0, 0.2]]))
    # The mean over languages is (0.3, 0.1): offsets (0.3, -0.1) and (-0.3, 0.1).
    centred = centring(torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(centred, torch.tensor([[0.3, 0.9], [0.6, 0.8]]))


def test_an_offset_that_all_speakers_of_a_language_share_goes():
    torch.manual_seed(0)
    speakers, offsets = torch.randn(40, 16), 2 * torch.randn(2, 16)
    first, second = (F.normalize(speakers) + 0.5 * F.normalize(offset, dim=0) for offset in offsets)
    centring = LanguageCentring(2, 16)
    centring.follow(torch.cat([first, second]), torch.arange(80) // 40)
    posterior = torch.eye(2)
    centred = [centring(side, posterior[i].expand(40, -1)) for i, side in enumerate((first, second))]
    plain = F.cosine_similarity(first, second).mean()
    assert F.cosine_similarity(*centred).mean() > plain + 0.1


def test_a_model_scores_what_is_centred_by_its_own_posterior():
    torch.manual_seed(0)
    params = with_overrides(
        load_params(PARAMS).resolve("laspa"),
        {"model.speaker_encoder": "tdnn_small", "model.centring": "language"},
    )
    model = Laspa(params, num_mels=20, num_speakers=4, num_languages=3)
    mel = torch.randn(5, 40, 20)
    model.centring.follow(model(mel).speaker, torch.tensor([0, 1, 2, 0, 1]))
    model.eval()
    output = model(mel)
    posterior = model.language_head(output.language).softmax(dim=1)
    offsets = posterior @ (model.centring.means - model.centring.means.mean(dim=0))
    assert offsets.abs().sum() > 0
    torch.testing.assert_close(model.scored(output), F.normalize(output.speaker) - offsets)
    torch.testing.assert_close(model.speaker_embedding(mel), model.scored(output))


def test_centring_without_a_language_classifier_is_refused():
    with pytest.raises(LaspaError, match="centring is language but"):
        with_overrides(
            load_params(PARAMS).resolve("laspa"), {"model.centring": "language", "loss_weights.nll": 0}
        )
