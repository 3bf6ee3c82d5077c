"""Exported models behind `Recogniser`: the same answers as the folder, no torch, and bad files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from laspa import Recogniser
from laspa.errors import LaspaError
from laspa.features.settings import mel_settings
from laspa.features.store import digest
from laspa.files import sha256_file, write_json
from laspa.models.laspa import Laspa
from laspa.models.saving import save_model
from laspa.params import Features, with_overrides
from tests.small_training import SMALL, small_params

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'laspa[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

FEATURES = Features(num_mels=24, window_ms=25, hop_ms=10, low_hz=20, high_hz=7600, shard_utterances=1)
PAIR = {"slope": 10.0, "offset": -5.0, "thresholds": {"eer": 0.5, "far_0.01": 0.7}}
# Fails where anything asks for torch, as in an environment without it.
WITHOUT_TORCH = """
import sys
for name in ("torch", "torchaudio"):
    sys.modules[name] = None
import numpy as np
from laspa import Recogniser
from laspa.errors import LaspaError
recogniser = Recogniser.load(sys.argv[1])
np.save(sys.argv[4], recogniser.embed(sys.argv[3]))
print(recogniser.verify(sys.argv[3], sys.argv[3]).probability)
try:
    Recogniser.load(sys.argv[2]).embed(sys.argv[3])
except LaspaError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with model/, waveform.onnx and mel.onnx."""
    from laspa.models.export import export_onnx

    torch.manual_seed(0)
    system = with_overrides(small_params(), SMALL | {"model.language_encoder": "tdnn_small"}).as_system()
    settings = mel_settings(FEATURES)
    folder = tmp_path_factory.mktemp("models")
    features = {"settings": settings, "digest": digest(settings)}
    save_model(folder / "model", Laspa(system, 24, 4, 3).eval(), features, list("abcd"), ["de", "en", "hi"])
    weights = sha256_file(folder / "model" / "model.safetensors")
    calibration = {"form": 1, "model": weights, "languages_heard": {"any": PAIR}}
    write_json(folder / "model" / "calibration.json", calibration)
    export_onnx(folder / "model", folder / "waveform.onnx", calibration=calibration)
    export_onnx(folder / "model", folder / "mel.onnx", waveform=False, languages=False)
    return folder


@pytest.fixture(scope="module")
def recording(models) -> Path:
    noise = np.random.default_rng(0).normal(size=48_000) * 0.1
    soundfile.write(models / "noise.wav", noise, 16_000)
    return models / "noise.wav"


@pytest.mark.parametrize("name", ["waveform.onnx", "mel.onnx"])
def test_an_exported_model_hears_what_its_folder_hears(models, recording, name):
    theirs, ours = Recogniser.load(models / "model"), Recogniser.load(models / name)
    assert ours.digest == theirs.digest
    one, other = theirs.hear(recording), ours.hear(recording)
    assert one.embedding @ other.embedding >= 0.9999
    if name == "mel.onnx":
        assert other.language is None
    else:
        assert other.language.code == one.language.code
        assert other.language.posterior == pytest.approx(one.language.posterior, abs=1e-3)
        found, expected = (side.verify(recording, recording, far=0.01) for side in (ours, theirs))
        assert found.probability == pytest.approx(expected.probability, abs=1e-3)
        assert (found.threshold, found.same) == (expected.threshold, expected.same) == (0.7, True)


def test_torch_is_not_needed(models, recording, tmp_path):
    arguments = [models / "waveform.onnx", models / "mel.onnx", recording, tmp_path / "vector.npy"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    probability, refusal = done.stdout.splitlines()
    assert float(probability) == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3)  # 10 · 1 − 5
    assert refusal.endswith("takes log-mels, which need torch; export the model with --input waveform")
    assert np.load(tmp_path / "vector.npy") @ Recogniser.load(models / "model").embed(recording) >= 0.9999


def test_bad_files_are_refused(models, tmp_path):
    def load(name):
        return Recogniser.load(tmp_path / name)

    with pytest.raises(LaspaError, match=r"away\.onnx: no such file; write it with laspa export"):
        load("away.onnx")
    whole = (models / "waveform.onnx").read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "torn.onnx").write_bytes(whole[:size])
        with pytest.raises(LaspaError, match=r"torn\.onnx: not a whole ONNX file"):
            load("torn.onnx")
    other = onnx.load(models / "waveform.onnx")
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "bare.onnx")
    with pytest.raises(LaspaError, match=r"bare\.onnx: an ONNX file without metadata: which features"):
        load("bare.onnx")
    onnx.helper.set_model_props(other, {"framework": "wespeaker", "sample_rate": "16000"})
    onnx.save(other, tmp_path / "wespeaker.onnx")
    with pytest.raises(LaspaError, match=r"its input is .*, which the front end wespeaker does not give"):
        load("wespeaker.onnx")
    onnx.helper.set_model_props(other, {"laspa.form": "0"})
    onnx.save(other, tmp_path / "old.onnx")
    with pytest.raises(LaspaError, match=r"laspa\.form is 0, this laspa reads 1; export the model again"):
        load("old.onnx")
    with pytest.raises(LaspaError, match="ONNX files run on the CPU"):
        Recogniser.load(models / "waveform.onnx", device="cuda")
