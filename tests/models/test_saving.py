"""Models and states on disk: they come back, and what is damaged or of another model is named."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from laspa.models.saving import LAST_FILE, check_mels, load_model, save_model, state_bytes
from laspa.params import with_overrides
from tests.small_training import run, small_data, small_params

FEATURES = {"settings": {"num_mels": 12, "hop_ms": 10.0}, "digest": "made up"}


@pytest.fixture(scope="module")
def params():
    return small_params()


@pytest.fixture(scope="module")
def data():
    return small_data()


def test_a_model_to_start_from_gives_all_but_its_heads(params, data, tmp_path):
    first = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", first, FEATURES, data.speakers, data.languages)
    others = replace(data, speaker=np.arange(40) % 5, speakers=list("vwxyz"))
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


def test_a_recogniser_with_a_speaker_encoder_alone_can_be_built_on_and_frozen(params, data, tmp_path):
    alone = {f"loss_weights.{name}": 0 for name in ("nll", "mapc", "mse", "grl")}
    alone |= {"model.centring": "none"}
    first = run(with_overrides(params, alone | {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", first, FEATURES, [], [])
    start = {"train.resume": "weights-only", "train.weights_from": str(tmp_path / "model")}
    start |= {"train.freeze": ["speaker_encoder"], "model.heads": "fused", "train.epochs": 2}
    second = run(with_overrides(params, start), data, tmp_path / "second", lambda model: {"eer": 0.0}).model
    ours, theirs = (model.speaker_encoder.state_dict() for model in (second, first))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)  # statistics of normalisation too
    before = torch.nn.functional.normalize(first.eval().speaker_embedding(mel := torch.randn(2, 40, 12)))
    after = torch.nn.functional.normalize(second.eval().speaker_embedding(mel))
    assert (before - after).abs().max() > 1e-3  # the tuners have learnt on top of it


def test_a_saved_model_comes_back_and_a_damaged_one_is_named(params, data, tmp_path):
    model = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", model, FEATURES, data.speakers, data.languages)
    loaded, config = load_model(tmp_path / "model")
    mel = torch.randn(2, 40, 12)
    torch.testing.assert_close(loaded.eval()(mel).speaker, model.eval()(mel).speaker)
    assert config["languages"] == ["de", "en"]
    with pytest.raises(LaspaError, match=r"last\.safetensors: no such file"):
        load_model(tmp_path / "model", LAST_FILE)
    last = {name: value + 1 for name, value in model.state_dict().items()}
    save_model(tmp_path / "model", model, FEATURES, data.speakers, data.languages, last)
    assert torch.equal(
        load_model(tmp_path / "model", LAST_FILE)[0].speaker_head.centres, last["speaker_head.centres"]
    )
    larger = tmp_path / "larger"
    shutil.copytree(tmp_path / "model", larger)
    write_json(larger / "config.json", config | {"speakers": [*data.speakers, "new"]})
    with pytest.raises(LaspaError, match=r"speaker_head\.centres is .* there and .* here; copy"):
        load_model(larger)
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


def test_mels_of_other_settings_are_refused_and_the_difference_is_named(params, data, tmp_path):
    model = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", model, FEATURES, data.speakers, data.languages)
    loaded, _ = load_model(tmp_path / "model")
    check_mels(loaded, FEATURES["settings"], "data/features")
    message = r"data/features: not the mels .*: hop_ms is 20.0 there and 10.0 in the model; set `features`"
    with pytest.raises(LaspaError, match=message):
        check_mels(loaded, FEATURES["settings"] | {"hop_ms": 20.0}, "data/features")
    with pytest.raises(LaspaError, match="features of the kind kaldi, but the model reads the kind mel"):
        check_mels(loaded, FEATURES["settings"] | {"kind": "kaldi"}, "data/features")


def test_a_model_of_an_older_laspa_is_to_be_trained_again(params, data, tmp_path):
    model = run(with_overrides(params, {"train.epochs": 1}), data, tmp_path / "state").model
    save_model(tmp_path / "model", model, FEATURES, data.speakers, data.languages)
    config = read_json(tmp_path / "model/config.json")
    del config["features"]
    write_json(tmp_path / "model/config.json", config | {"num_mels": 12})
    with pytest.raises(LaspaError, match=r"config.json: saved by an older laspa, .* train it again"):
        load_model(tmp_path / "model")
    for damaged in ({"features": {"digest": "0"}}, {"languages": 2}):
        write_json(tmp_path / "model/config.json", config | {"features": FEATURES} | damaged)
        with pytest.raises(LaspaError, match=r"config.json: not a model's config .*; copy the whole folder"):
            load_model(tmp_path / "model")
