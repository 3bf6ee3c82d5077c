"""The encoders by name: the values of `model.speaker_encoder` and `model.language_encoder`.

An encoder is an nn.Module built from (num_mels, embedding_dim). It has `stride`, mel frames per step,
`frame_dim`, the width of a step, and `forward(mel, lengths=None) -> (embedding, frames)`:

    mel: (batch, frames, mels).
    lengths: (batch,) real frames of each utterance, or None where all are real.
    embedding: (batch, embedding_dim).
    frames: (batch, ceil(frames / stride), frame_dim), which the embedding was pooled from.

Padding changes neither the embedding nor the real frames; padded frames are zero.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from laspa.errors import LaspaError
from laspa.params.messages import unknown_choice
from laspa.params.system import Model


def _encoder(module: str, name: str, **options: Any) -> Callable[[int, int], Any]:
    """A function that imports a module beside this one, and with it torch, and builds its class `name`."""

    def build(num_mels: int, embedding_dim: int) -> Any:
        return getattr(import_module(f"laspa.models.{module}"), name)(num_mels, embedding_dim, **options)

    return build


ENCODERS = {
    "tdnn": _encoder("tdnn", "TDNN", channels=64),
    "tdnn_small": _encoder("tdnn", "TDNN", channels=32),
    "resnet34_s": _encoder("resnet", "ResNetSE", light=True),
    "resnet34_l": _encoder("resnet", "ResNetSE", light=False),
    "ecapa_512": _encoder("ecapa", "ECAPA", channels=512),
    "ecapa_1024": _encoder("ecapa", "ECAPA", channels=1024),
    "redimnet_b0": _encoder("redimnet", "ReDimNet", size="redimnet_b0"),
    "redimnet_b1": _encoder("redimnet", "ReDimNet", size="redimnet_b1"),
    "redimnet_b2": _encoder("redimnet", "ReDimNet", size="redimnet_b2"),
    "campplus": _encoder("campplus", "CAMPPlus"),
    # As public code builds them, for its weights (laspa/models/checkpoints.py).
    "wespeaker_resnet34": _encoder("resnet", "ResNet"),
    "wespeaker_ecapa_512": _encoder("ecapa", "ECAPA", channels=512, details="wespeaker"),
    "wespeaker_ecapa_1024": _encoder("ecapa", "ECAPA", channels=1024, details="wespeaker"),
    "speechbrain_ecapa": _encoder("ecapa", "ECAPA", channels=1024, details="speechbrain"),
    **{
        f"released_redimnet_{size}": _encoder("redimnet", "ReDimNet", size=f"redimnet_{size}", released=True)
        for size in ("b0", "b1", "b2", "b2_light")
    },
}


def check_encoders(model: Model) -> None:
    """Check the names of both encoders, before long work that needs them.

    Raises:
        LaspaError: a name that is not in ENCODERS.
    """
    for key in ("speaker_encoder", "language_encoder"):
        if (name := getattr(model, key)) not in ENCODERS:
            raise LaspaError(unknown_choice(f"model.{key}", name, ENCODERS))
