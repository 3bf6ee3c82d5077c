"""Exported models against torch: all kinds of encoders, lengths, batches; and what the file says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from laspa.errors import LaspaError
from laspa.features.mel import log_mel
from laspa.features.settings import mel_params, mel_settings
from laspa.features.store import digest
from laspa.files import sha256_file
from laspa.models import campplus, export, redimnet, resnet
from laspa.models.ecapa import ECAPA
from laspa.models.export import export_onnx
from laspa.models.laspa import Laspa
from laspa.models.saving import save_model
from laspa.models.tdnn import TDNN
from laspa.params import Features, with_overrides
from tests.small_training import SMALL, small_params

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'laspa[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

MELS = 24
FEATURES = Features(num_mels=MELS, window_ms=25, hop_ms=10, low_hz=20, high_hz=7600, shard_utterances=1)
SETTINGS = mel_settings(FEATURES)
SHAPES = ((1, 1), (1, 7), (1, 203), (2, 100), (3, 98), (2, 641))  # batch, frames
# Fewer layers than published: each exports in seconds, and all kinds of layers are there.
SHALLOW_REDIMNET = redimnet.Size(
    num_mels=MELS, channels=8, group=4, convnext=True, context=True, stages=((1, 1, 1, 12), (2, 1, 2, 12))
)
ENCODERS = {
    "tdnn": lambda: TDNN(MELS, 12, channels=8),
    "ecapa": lambda: ECAPA(MELS, 12, channels=16),
    "speechbrain_ecapa": lambda: ECAPA(MELS, 12, channels=16, details="speechbrain"),
    "resnet34": lambda: resnet.ResNetSE(MELS, 12, light=False),
    "wespeaker_resnet34": lambda: resnet.ResNet(MELS, 12),
    "redimnet": lambda: redimnet.ReDimNet(MELS, 12, "shallow"),
    "campplus": lambda: campplus.CAMPPlus(MELS, 12),
}


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    monkeypatch.setattr(resnet, "BLOCKS", (1, 1, 1, 1))
    monkeypatch.setattr(campplus, "DENSE_BLOCKS", ((1, 1), (1, 2)))
    monkeypatch.setitem(redimnet.SIZES, "shallow", SHALLOW_REDIMNET)


class Embedding(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel):
        return self.encoder(mel)[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_gives_the_embeddings_of_torch_at_any_length_and_batch(name):
    torch.manual_seed(0)
    module = Embedding(ENCODERS[name]())
    with torch.no_grad():
        module(torch.randn(8, 40, MELS))  # batch norms meet something
    graph = export._graph(module, "mel", ["embedding"], (*export.EXAMPLE, MELS))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for batch, frames in SHAPES:
        mel = torch.randn(batch, frames, MELS)
        with torch.no_grad():
            expected = module(mel).numpy()
        found = session.run(None, {"mel": mel.numpy()})[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert cosine(found, expected).min() >= 0.9999


def cosine(one, other):
    return np.sum(one * other, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def small_system():
    changes = SMALL | {"model.centring": "language", "model.language_encoder": "tdnn_small"}
    return with_overrides(small_params(), changes).as_system()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model with language head and centring, whose embeddings need both encoders."""
    torch.manual_seed(0)
    model = Laspa(small_system(), MELS, 4, 3)
    model.centring.means.normal_()
    path = tmp_path_factory.mktemp("model") / "model"
    features = {"settings": SETTINGS, "digest": digest(SETTINGS)}
    save_model(path, model.eval(), features, list("abcd"), ["de", "en", "hi"])
    return path


@pytest.fixture(scope="module")
def model(folder):
    return export.load_model(folder)[0].eval()


@pytest.fixture(scope="module")
def file(folder, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_onnx(folder, path, calibration={"form": 1, "model": "0", "slope": 2.5})
    return path


def embedded(model, mel):
    with torch.inference_mode():
        embedding, posterior = model.recognise(torch.from_numpy(mel).float()[None])
    return embedding[0].numpy(), posterior[0].numpy()


def test_a_waveform_gives_the_embedding_and_languages_of_the_model(model, file):
    session = onnxruntime.InferenceSession(file)
    generator = np.random.default_rng(0)
    for samples in (512 + 160, 8000, 33_333):
        signal = generator.normal(size=samples).astype(np.float32) * 0.1
        embedding, posterior = session.run(["embedding", "posterior"], {"waveform": signal[None]})
        expected, languages = embedded(model, log_mel(signal, FEATURES))
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
        assert cosine(embedding, expected[None])[0] >= 0.9999
        np.testing.assert_allclose(posterior[0], languages, atol=1e-3)
    both = np.stack([signal, signal[::-1]])
    assert session.run(["embedding"], {"waveform": both})[0].shape == (2, 24)


def test_the_file_says_what_it_is(folder, file):
    found = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    # The keys of sherpa-onnx/csrc/speaker-embedding-extractor-model.cc.
    assert found["sample_rate"] == "16000"
    assert found["output_dim"] == "24"
    assert found["normalize_samples"] == "1"
    assert found["language"] == "de,en,hi"
    assert found["framework"] == "laspa"  # which sherpa-onnx refuses: it computes kaldi's features
    weights = sha256_file(folder / "model.safetensors")
    assert found["laspa.model"] == weights
    assert json.loads(found["laspa.features"]) == {"settings": SETTINGS, "digest": digest(SETTINGS)}
    assert json.loads(found["laspa.calibration"]) == {"form": 1, "model": weights, "slope": 2.5}


def test_sherpa_onnx_gives_the_same_embedding_where_features_are_kaldis(tmp_path):
    sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
    kaldi = Features(
        kind="kaldi", num_mels=80, window_ms=25, hop_ms=10, low_hz=20, high_hz=7600, shard_utterances=1
    )
    settings = mel_settings(kaldi)
    torch.manual_seed(0)
    features = {"settings": settings, "digest": digest(settings)}
    model = Laspa(small_system(), 80, 4, 3).eval()
    save_model(tmp_path / "model", model, features, list("abcd"), ["de", "en", "hi"])
    export_onnx(tmp_path / "model", tmp_path / "model.onnx", waveform=False)
    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(tmp_path / "model.onnx"))
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)
    assert extractor.dim == 24
    signal = np.random.default_rng(0).normal(size=48_000).astype(np.float32) * 0.1
    stream = extractor.create_stream()
    stream.accept_waveform(16_000, signal)
    stream.input_finished()
    found = np.array(extractor.compute(stream))
    # Its frames of 400 samples are centred on those of 160 (kaldi's snip_edges=false), mirrored at the ends.
    beyond = (400 - 160) // 2
    mirrored = np.concatenate([signal[:beyond][::-1], signal, signal[-beyond:][::-1]])
    assert cosine(found[None], embedded(model, log_mel(mirrored, kaldi))[0][None])[0] >= 0.9999


def test_quantised_weights_are_smaller_and_named_as_other_ones(model, folder, file, tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(folder, path, waveform=False, int8=True)
    session = onnxruntime.InferenceSession(path)
    assert path.stat().st_size < file.stat().st_size
    assert session.get_modelmeta().custom_metadata_map["laspa.model"].endswith("-int8")
    mel = np.random.default_rng(0).normal(size=(300, MELS)).astype(np.float32)
    found = session.run(["embedding"], {"mel": mel[None]})[0]
    assert 0.98 <= cosine(found, embedded(model, mel)[0][None])[0] < 1


def test_a_file_whose_embeddings_differ_is_not_written(folder, file, tmp_path, monkeypatch):
    front = export.front_end(FEATURES)
    torch.manual_seed(1)
    other = export._Recognise(Laspa(small_system(), MELS, 4, 3).eval(), languages=True)
    metadata = export.OnnxMetadata("0", "waveform", 24, {}, [], None)
    lowest = export._lowest_cosine(file.read_bytes(), nn.Sequential(front, other), metadata, SETTINGS)
    assert lowest < 0.9
    unusable = metadata._replace(input="mel")
    assert np.isnan(export._lowest_cosine(file.read_bytes(), other, unusable, SETTINGS))
    monkeypatch.setattr(export, "_graph", lambda *given, **options: onnx.load(file))
    monkeypatch.setattr(export, "_lowest_cosine", lambda *given: float("nan"))
    with pytest.raises(LaspaError, match=r"not written: its embeddings differ from the model's \(cosine nan"):
        export_onnx(folder, tmp_path / "model.onnx", waveform=False)
    assert not list(tmp_path.iterdir())


def test_mels_of_another_laspa_are_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "model")
    config = json.loads((other / "config.json").read_text())
    config["features"]["settings"]["log_floor"] = 1e-5
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(LaspaError, match="are not computed by this laspa"):
        export_onnx(other, tmp_path / "model.onnx")
    assert mel_params(SETTINGS) == FEATURES
