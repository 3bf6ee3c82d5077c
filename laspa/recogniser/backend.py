"""What turns speech into an embedding: a trained model with torch, and the place for others."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from laspa.errors import LaspaError
from laspa.hooks import hook


class Encoded(NamedTuple):
    """What a model says of one piece of speech.

    embedding: (D,) float32, as scored by cosine; of any length.
    posterior: (languages,) float32 of the model's own language head, or None where it has none.
    """

    embedding: np.ndarray
    posterior: np.ndarray | None


class Backend(Protocol):
    """A model that can be asked.

    digest: SHA-256 of the model's weights; embeddings of equal digests can be compared.
    languages: that its posteriors tell apart, in their order.
    folder: of the model's calibration, where there may be one.
    """

    digest: str
    languages: list[str]
    folder: Path | None

    def encode(self, speech: np.ndarray) -> Encoded:
        """Speech, (samples,) float32 at 16 kHz, full scale ±1; the caller bounds its length."""


def open_backend(source: str, device: str) -> Backend:
    """The backend of a model: a folder as the stage train saves it, or a `models:/` address of a registry.

    Raises:
        LaspaError: no such model, a damaged one, or one of another laspa.
    """
    if source.startswith("models:/"):
        source = str(hook("laspa.registry", "folder")(source))
    if source.endswith(".onnx"):
        raise LaspaError(f"{source}: exported models cannot be loaded yet; name the model's folder")
    if not Path(source).is_dir():
        raise LaspaError(f"{source}: no such model folder; train one (dvc repro), or name another by --model")
    return TorchBackend(Path(source), device)


class TorchBackend:
    """A saved model (laspa/models/saving.py) on torch."""

    def __init__(self, folder: Path, device: str) -> None:
        from laspa.features.settings import mel_params, mel_settings
        from laspa.features.store import digest
        from laspa.files import sha256_file
        from laspa.models.device import torch_device
        from laspa.models.saving import CONFIG_FILE, WEIGHTS_FILE, load_model

        model, config = load_model(folder)
        features = config["features"]
        try:
            self._features = mel_params(features["settings"])
            fitting = mel_settings(self._features) == features["settings"]
        except KeyError:
            fitting = False
        if not fitting or digest(features["settings"]) != features["digest"]:
            raise LaspaError(
                f"{folder / CONFIG_FILE}: features of settings {features['settings']} are not computed by "
                "this laspa; use the version that trained the model, or train it again"
            )
        self._device = torch_device(device)
        self._model = model.to(self._device).eval()
        self.folder: Path | None = folder
        self.languages: list[str] = config["languages"]
        self.digest = sha256_file(folder / WEIGHTS_FILE)

    def encode(self, speech: np.ndarray) -> Encoded:
        """See `Backend`."""
        import torch

        from laspa.features.mel import log_mel

        mel = torch.from_numpy(log_mel(speech, self._features)).float()[None].to(self._device)
        with torch.inference_mode():
            embedding, posterior = self._model.recognise(mel)
        return Encoded(
            embedding[0].float().cpu().numpy(),
            None if posterior is None else posterior[0].float().cpu().numpy(),
        )
