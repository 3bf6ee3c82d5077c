"""Labels from audio: a small model that is trained here, and SpeechBrain's where it is installed."""

import importlib
import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from laspa.audio.reading import SAMPLE_RATE
from laspa.errors import LaspaError
from laspa.features.mel import log_mel
from laspa.features.settings import mel_settings
from laspa.manifest.language_id import _middle, label
from laspa.models.saving import save_model
from laspa.params import Params, load_params, with_overrides
from laspa.params.data import Label
from laspa.training.batches import TrainingSet
from laspa.training.loop import train
from tests.made_up import InMemory

TINY = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "loss_weights.mse": 0.0,
    "features.num_mels": 24,
    "train.epochs": 10,
    "train.batch_size": 16,
    "train.crop_seconds": 0.3,
    "train.device": "cpu",
    "train.threads": 1,
}
CPU = torch.device("cpu")
LANGUAGES = ("en", "de")


def params() -> Params:
    return with_overrides(load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa"), TINY)


def speech(language: str, voice: int, take: int, seconds: float = 0.8) -> np.ndarray:
    """Two bands of noise that take turns; a language has its bands, a voice its tilt."""
    generator = np.random.default_rng([voice, take, LANGUAGES.index(language)])
    count = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(generator.normal(size=(2, count)))
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    bands = (hertz < 1500, hertz > 3000) if language == "en" else (hertz < 500, hertz > 5000)
    tilt = (1 + hertz / 1000) ** -(0.2 + 0.3 * voice)
    low, high = np.fft.irfft(spectrum * np.array(bands) * tilt, count)
    turn = np.sin(2 * np.pi * 4 * np.arange(count) / SAMPLE_RATE + take) > 0
    sound = np.where(turn, low, high)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that heard four voices in both languages."""
    options = params()
    ids = [(voice, name, take) for voice in range(4) for name in LANGUAGES for take in range(6)]
    mels = [log_mel(speech(name, voice, take), options.features) for voice, name, take in ids]
    languages = sorted(LANGUAGES)
    data = TrainingSet(
        InMemory(np.concatenate(mels), np.array([len(mel) for mel in mels])),
        np.array([voice for voice, _, _ in ids]),
        np.array([languages.index(name) for _, name, _ in ids]),
        list("abcd"),
        languages,
        100.0,
        [f"{voice}/{name}/{take}" for voice, name, take in ids],
    )
    folder = tmp_path_factory.mktemp("model")
    falling = itertools.count(1)  # on dev the last epoch is the best
    trained = train(
        options, data, CPU, lambda _: {"eer": 1 / next(falling)}, lambda _: None, folder / "state"
    )
    features = {"settings": mel_settings(options.features), "digest": "made up"}
    save_model(folder / "saved", trained.model, features, data.speakers, data.languages)
    return folder / "saved"


def own(weights: Path | str, **changes: Any) -> Label:
    defaults = {"model": "own", "weights": str(weights), "threshold": 0.7, "seconds": 10.0}
    return Label(**defaults | changes)


def test_our_own_model_labels_voices_that_it_never_heard(model: Path, tmp_path: Path) -> None:
    truth = {}
    for voice in (4, 5, 6):
        for name in LANGUAGES:
            for take in range(4):
                truth[f"{voice}-{name}-{take}.wav"] = {"en": "eng", "de": "deu"}[name]
                sound = speech(name, voice, take + 10)
                soundfile.write(tmp_path / f"{voice}-{name}-{take}.wav", sound, SAMPLE_RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    paths = [*truth, "broken.wav"]
    rows = label(paths, lambda path: tmp_path / path, own(model), CPU)
    assert [row[0] for row in rows] == paths
    assert rows[-1] == ("broken.wav", "und", None)
    right = [truth[path] == language for path, language, _ in rows[:-1]]
    assert np.mean(right) > 0.9  # chance is 0.5
    assert all(0.5 <= confidence <= 1 for _, _, confidence in rows[:-1] if confidence is not None)
    again = label(paths, lambda path: tmp_path / path, own(model), CPU)
    assert again == rows


def test_the_middle_is_heard() -> None:
    signal = np.arange(5 * SAMPLE_RATE)
    assert _middle(signal, 1.0).tolist() == list(range(2 * SAMPLE_RATE, 3 * SAMPLE_RATE))
    assert len(_middle(signal, 10.0)) == len(signal)


def test_a_model_that_does_not_fit_names_the_param(model: Path, tmp_path: Path) -> None:
    def refused(options: Label) -> str:
        with pytest.raises(LaspaError) as raised:
            label(["x"], lambda path: tmp_path / path, options, CPU)
        return str(raised.value)

    assert "label.model is own but label.weights is empty" in refused(own(""))
    assert "no such file" in refused(own(tmp_path / "nowhere"))


@pytest.mark.skipif(importlib.util.find_spec("speechbrain") is not None, reason="SpeechBrain is installed")
def test_voxlingua_without_speechbrain_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"needs SpeechBrain: pip install 'laspa\[voxlingua\]'"):
        label([], lambda path: tmp_path / path, own("", model="voxlingua"), CPU)


HYPERPARAMS = """
pretrained_path: speechbrain/lang-id-voxlingua107-ecapa
n_mels: 60
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 8
    lin_neurons: 8
classifier: !new:speechbrain.lobes.models.Xvector.Classifier
    input_shape: [null, null, 8]
    activation: !name:torch.nn.LeakyReLU
    lin_blocks: 1
    lin_neurons: 8
    out_neurons: 3
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: false
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
        classifier: !ref <pretrained_path>/classifier.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""


def test_voxlingua_from_a_local_folder(tmp_path: Path) -> None:
    """The files of the hub's model in miniature, with random weights, through the real SpeechBrain."""
    if importlib.util.find_spec("speechbrain") is None:
        pytest.skip("VOXLINGUA IS NOT TESTED: pip install 'laspa[voxlingua]'")
    from hyperpyyaml import load_hyperpyyaml

    import laspa.features.torchaudio_shim  # noqa: F401

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS)
    built = load_hyperpyyaml(HYPERPARAMS)
    for name in ("embedding_model", "classifier"):
        torch.save(built[name].state_dict(), folder / f"{name}.ckpt")
    names = "'en: English' => 0\n'iw: Hebrew' => 1\n'th: Thai' => 2\n"
    (folder / "label_encoder.txt").write_text(f"{names}================\n'starting_index' => 0\n")
    soundfile.write(tmp_path / "x.wav", speech("de", 1, 1), SAMPLE_RATE)
    ((path, language, confidence),) = label(
        ["x.wav"], lambda path: tmp_path / path, own(folder, model="voxlingua"), CPU
    )
    assert path == "x.wav"
    assert language in {"eng", "heb", "tha"}
    assert confidence is not None
    assert 1 / 3 <= confidence <= 1
    with pytest.raises(LaspaError, match=r"has no hyperparams\.yaml; name a folder with the files of"):
        label([], lambda path: tmp_path / path, own(tmp_path, model="voxlingua"), CPU)
