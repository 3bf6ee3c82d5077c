"""The encoders by name: what `model.speaker_encoder` and `model.language_encoder` choose from.

An encoder is an nn.Module built from (num_mels, embedding_dim), with `frame_dim`, `stride` (mel
frames a step) and `forward(mel, lengths) -> (embedding, frames)` as TDNN documents it: padding
changes neither, and padded frames are zero.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from laspa.models.tdnn import TDNN

ENCODERS: dict[str, Callable[[int, int], Any]] = {
    "tdnn": partial(TDNN, channels=96),
    "tdnn_small": partial(TDNN, channels=48),
}
