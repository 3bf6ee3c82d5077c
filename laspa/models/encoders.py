"""The encoders by name: what `model.speaker_encoder` and `model.language_encoder` choose from.

An encoder is an nn.Module built from (num_mels, embedding_dim), with `frame_dim`, `stride` (mel
frames a step) and `forward(mel, lengths) -> (embedding, frames)` as TDNN documents it: padding
changes neither, and padded frames are zero.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from laspa.errors import LaspaError
from laspa.models.campplus import CAMPPlus
from laspa.models.ecapa import ECAPA
from laspa.models.redimnet import B0, B1, B2, ReDimNet
from laspa.models.resnet import ResNetSE
from laspa.models.tdnn import TDNN
from laspa.params import Model
from laspa.params.messages import unknown_choice

ENCODERS: dict[str, Callable[[int, int], Any]] = {
    "tdnn": partial(TDNN, channels=64),
    "tdnn_small": partial(TDNN, channels=32),
    "resnet34_s": partial(ResNetSE, light=True),
    "resnet34_l": partial(ResNetSE, light=False),
    "ecapa_512": partial(ECAPA, channels=512),
    "ecapa_1024": partial(ECAPA, channels=1024),
    "redimnet_b0": partial(ReDimNet, size=B0),
    "redimnet_b1": partial(ReDimNet, size=B1),
    "redimnet_b2": partial(ReDimNet, size=B2),
    "campplus": CAMPPlus,
}


def check_encoders(model: Model) -> None:
    """Check the names of both encoders, before long work that needs them.

    Raises:
        LaspaError: a name that is not in ENCODERS.
    """
    for key in ("speaker_encoder", "language_encoder"):
        if (name := getattr(model, key)) not in ENCODERS:
            raise LaspaError(unknown_choice(f"model.{key}", name, ENCODERS))
