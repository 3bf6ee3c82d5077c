"""ONNX files of other toolkits: the front end that they name, or that is named for them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from laspa import Recogniser
from laspa.cli.main import command_parser, main
from laspa.errors import LaspaError
from laspa.features.front_ends import FRONT_ENDS
from laspa.features.mel import log_mel

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'laspa[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
WESPEAKER = {"framework": "wespeaker", "sample_rate": "16000", "output_dim": "80", "normalize_samples": "0"}
SPEAKER_3D = WESPEAKER | {
    "framework": "3d-speaker",
    "normalize_samples": "1",
    "feature_normalize_type": "global-mean",
}
NEMO = {
    "framework": "nemo",
    "sample_rate": "16000",
    "output_dim": "80",
    "feature_normalize_type": "per_feature",
    "window_size_ms": "25",
    "window_stride_ms": "10",
    "window_type": "hann",
    "feat_dim": "80",
}
SIGNAL = np.random.default_rng(0).normal(0, 0.1, 20_000).astype(np.float32)
SIGNAL[:4000] *= 1e-5  # below half a step of 16-bit samples, where the scale of samples matters


def write(
    path: Path, metadata: dict[str, str], shape: tuple[int | str, ...], bands_first: bool = False
) -> Path:
    """A file whose embedding is each band's highest value, or the waveform's highest hundred samples.

    NeMo's has logits before the embedding, and the length, which it multiplies with.
    """
    helper, float32, int64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    inputs = [helper.make_tensor_value_info("x", float32, shape)]
    outputs = [helper.make_tensor_value_info("embs", float32, None)]
    constants = []
    if len(shape) == 2:
        constants.append(helper.make_tensor("k", int64, [1], [100]))
        nodes = [helper.make_node("TopK", ["x", "k"], ["embs", "places"], axis=1)]
    elif bands_first:
        inputs.append(helper.make_tensor_value_info("length", int64, ["B"]))
        outputs.insert(0, helper.make_tensor_value_info("logits", float32, None))
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["highest"], axes=[2], keepdims=0),
            helper.make_node("Cast", ["length"], ["frames"], to=float32),
            helper.make_node("Mul", ["highest", "frames"], ["embs"]),
            helper.make_node("Neg", ["highest"], ["logits"]),
        ]
    else:
        nodes = [helper.make_node("ReduceMax", ["x"], ["embs"], axes=[1], keepdims=0)]
    graph = helper.make_graph(nodes, "other", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    ("metadata", "window", "scale"),
    [
        (WESPEAKER, "hamming", 32768),
        (SPEAKER_3D, "povey", 1),
        (WESPEAKER | {"normalize_samples": "1"}, "hamming", 1),
    ],
)
def test_the_features_are_those_that_the_toolkit_trains_with(metadata, window, scale, tmp_path):
    knf = pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = 80
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(16_000, (SIGNAL * scale).tolist())
    bank.input_finished()
    bands = np.stack([bank.get_frame(place) for place in range(bank.num_frames_ready)])
    expected = (bands - bands.mean(axis=0)).max(axis=0)
    file = write(tmp_path / "other.onnx", metadata, ("B", "T", 80))
    recogniser = Recogniser.load(file)
    found = recogniser.embed(SIGNAL, 16_000, vad="none")
    assert found @ unit(expected) > 0.999999
    assert np.abs(found - unit(expected)).max() < 1e-3
    assert (recogniser.runtime.dim, recogniser.runtime.languages, recogniser.decision) == (80, [], None)


def test_nemo_reads_bands_before_frames_and_the_length_and_its_second_output_is_the_embedding(tmp_path):
    file = write(tmp_path / "nemo.onnx", NEMO, ("B", 80, "T"), bands_first=True)
    heard = Recogniser.load(file).runtime.encode(SIGNAL)
    mel = log_mel(SIGNAL, FRONT_ENDS["nemo"]).astype(np.float32)
    np.testing.assert_allclose(heard.embedding, len(mel) * mel.max(axis=0), rtol=1e-5)


def test_without_metadata_the_front_end_is_asked_for(tmp_path, capsys):
    file = write(tmp_path / "bare.onnx", {}, ("B", "T", 72))
    with pytest.raises(
        LaspaError, match=r"bare\.onnx: an ONNX file without metadata.*--front-end \(3d-speaker, "
    ):
        Recogniser.load(file)
    ours = [Recogniser.load(file, front_end=name) for name in ("redimnet", "wespeaker")]
    mel = log_mel(SIGNAL, FRONT_ENDS["redimnet"]).astype(np.float32)
    np.testing.assert_allclose(ours[0].runtime.encode(SIGNAL).embedding, mel.max(axis=0))
    assert len({one.digest for one in ours}) == 2  # whose embeddings are not compared
    soundfile.write(tmp_path / "a.wav", SIGNAL, 16_000)
    command = ["embed", str(tmp_path / "a.wav"), "--vad", "none", "--model", str(file), "--output"]
    assert main([*command, str(tmp_path / "e.parquet")]) == 2
    assert "--front-end" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "e.parquet"), "--front-end", "redimnet"]) == 0
    assert main([*command, str(tmp_path / "shards"), "--front-end", "redimnet"]) == 0
    job = json.loads((tmp_path / "shards" / ".job.json").read_text())
    assert job["model"] == ours[0].digest


def test_waveforms(tmp_path):
    file = write(tmp_path / "wave.onnx", {}, ("B", "N"))
    found = Recogniser.load(file, front_end="waveform").runtime.encode(SIGNAL).embedding
    np.testing.assert_array_equal(found, np.sort(SIGNAL)[::-1][:100])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": "8000"}, "its metadata wants sample_rate '8000', which laspa does not compute"),
        ({"feature_normalize_type": "per_feature"}, "wants feature_normalize_type 'per_feature'"),
        ({"framework": "kaldi"}, "of the framework 'kaldi': which features it reads is not known; say it by"),
        ({"output_dim": "192"}, "output_dim is 192, but it gives 80 values"),
    ],
)
def test_what_is_not_computed_is_refused(changes, message, tmp_path):
    with pytest.raises(LaspaError, match=message):
        Recogniser.load(write(tmp_path / "other.onnx", WESPEAKER | changes, ("B", "T", 80)))


def test_a_front_end_that_the_file_does_not_take_is_refused(tmp_path):
    file = write(tmp_path / "other.onnx", WESPEAKER, ("B", "T", 80))
    with pytest.raises(LaspaError, match=r"its input is .*which the front end waveform does not give"):
        Recogniser.load(file, front_end="waveform")
    with pytest.raises(LaspaError, match="knows its own front end; --front-end is for ONNX files of other"):
        Recogniser.load(tmp_path, front_end="nemo")


def test_the_command_knows_every_front_end():
    for name in (*FRONT_ENDS, "waveform"):
        options = command_parser().parse_args(["identify", "store", "a.wav", "--front-end", name])
        assert options.front_end == name
