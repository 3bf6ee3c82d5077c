"""A model without a language encoder gets that of another: embeddings stay, posteriors are the other's."""

import pytest
import torch

from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from laspa.models.borrowed_encoder import can_lend, save_with_language_encoder
from laspa.models.saving import CONFIG_FILE, load_model
from tests.small_model import small_model

BASELINE = {"loss_weights.nll": 0, "loss_weights.mapc": 0, "loss_weights.mse": 0}


@pytest.fixture
def folders(tmp_path):
    return small_model(tmp_path / "baseline", BASELINE, seed=1), small_model(tmp_path / "laspa", seed=2)


def test_embeddings_stay_and_posteriors_are_lent(folders, tmp_path):
    baseline, lender = folders
    save_with_language_encoder(baseline, lender, tmp_path / "both")
    ours, theirs, both = (load_model(one)[0].eval() for one in (baseline, lender, tmp_path / "both"))
    mel = torch.randn(3, 50, ours.mel_settings["num_mels"])
    with torch.inference_mode():
        (embedding, none), (_, posterior), found = (one.recognise(mel) for one in (ours, theirs, both))
    assert none is None
    assert torch.equal(found[0], embedding)
    assert torch.equal(found[1], posterior)


def test_only_a_head_on_the_language_encoder_can_be_lent(folders, tmp_path):
    assert [can_lend(load_model(one)[0]) for one in folders] == [False, True]
    assert not can_lend(load_model(small_model(tmp_path / "fused", {"model.heads": "fused"}))[0])


def test_other_languages_are_refused(folders, tmp_path):
    baseline, lender = folders
    write_json(lender / CONFIG_FILE, read_json(lender / CONFIG_FILE) | {"languages": ["de", "hi"]})
    with pytest.raises(LaspaError, match=r"laspa: trained on other languages than .*baseline"):
        save_with_language_encoder(baseline, lender, tmp_path / "both")
