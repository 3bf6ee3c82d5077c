"""Models and states on disk: they come back, and what is damaged or of another model is named."""

import numpy as np
import pytest
import torch

from laspa.errors import LaspaError
from laspa.models.saving import LAST_FILE, load_model, save_model, state_bytes
from laspa.params import with_overrides
from laspa.training.batches import TrainingSet
from tests.small_training import run, small_data, small_params


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def data():
    return small_data()


def test_a_model_to_start_from_gives_all_but_its_heads(params, data, tmp_path):
    first = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", first, 12, data.speakers, data.languages)
    others = TrainingSet(**{**data.__dict__, "speaker": np.arange(40) % 5, "speakers": list("vwxyz")})
    start = {"train.resume": "weights-only", "train.weights_from": str(tmp_path / "model")}
    start |= {"train.epochs": 1, "train.learning_rate": 1e-9}
    second = run(with_overrides(params, start), others, tmp_path / "second").model
    for part in ("speaker_encoder", "language_encoder", "fusion", "decoder"):
        for one, other in zip(
            getattr(first, part).parameters(), getattr(second, part).parameters(), strict=True
        ):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    assert len(second.speaker_head.centres) == 5
    wrong = (
        r"weights_from is .*, a model of another architecture: model.embedding_dim is 16 there and 24 here"
    )
    with pytest.raises(LaspaError, match=wrong):
        run(with_overrides(params, start | {"model.embedding_dim": 24}), others, tmp_path / "third")


def test_a_saved_model_comes_back_and_a_damaged_one_is_named(params, data, tmp_path):
    model = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", model, 12, data.speakers, data.languages)
    loaded, config = load_model(tmp_path / "model")
    mel = torch.randn(2, 40, 12)
    torch.testing.assert_close(loaded.eval()(mel).speaker, model.eval()(mel).speaker)
    assert config["languages"] == ["de", "en"]
    with pytest.raises(LaspaError, match=r"last\.safetensors: no such file"):
        load_model(tmp_path / "model", LAST_FILE)
    last = {name: value + 1 for name, value in model.state_dict().items()}
    save_model(tmp_path / "model", model, 12, data.speakers, data.languages, last)
    assert torch.equal(
        load_model(tmp_path / "model", LAST_FILE)[0].speaker_head.centres, last["speaker_head.centres"]
    )
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(LaspaError, match="not a whole safetensors file"):
        load_model(tmp_path / "model")


def test_the_state_of_another_model_is_refused_by_name(params, data, tmp_path):
    run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state")
    wrong = (
        r"state: the state of another model: centring.means is 2 × 16 there and 2 × 24 here and more; delete"
    )
    with pytest.raises(LaspaError, match=wrong):
        run(with_overrides(params, {"model.embedding_dim": 24}), data, tmp_path / "state")


def test_how_large_a_state_will_be_is_known_before(params, data, tmp_path):
    run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state")
    expected = state_bytes(params.as_system(), 12, len(data.speakers), len(data.languages))
    assert (tmp_path / "state").stat().st_size == pytest.approx(expected, rel=0.2)
