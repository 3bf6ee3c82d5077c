"""Public checkpoints as model folders: their weights under our names, with the front end that they read."""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from laspa.errors import LaspaError
from laspa.features.settings import mel_settings
from laspa.features.store import digest
from laspa.models.campplus import DENSE_BLOCKS
from laspa.models.laspa import Laspa
from laspa.models.saving import read_tensors, save_model
from laspa.params import Features, System
from laspa.params.messages import unknown_choice
from laspa.params.system import LossWeights, Model

SHOWN = 5  # names in a message
KALDI = Features(
    kind="kaldi", num_mels=80, window_ms=25, hop_ms=10, low_hz=20, high_hz=8000, shard_utterances=1
)


class Kind(NamedTuple):
    """A public architecture.

    encoder: its name in laspa/models/encoders.py. last: their name of the weights that give the embedding.
    rename: from one of their names to ours, None where it is not known.
    """

    what: str
    encoder: str
    features: Features
    last: str
    rename: Callable[[str], str | None]


def import_checkpoint(kind: str, file: Path, output: Path) -> int:
    """Write a model folder with a public checkpoint's speaker encoder; the length of its embeddings.

    Raises:
        LaspaError: an unknown kind, an unreadable file, one that holds more than tensors, or names or shapes
            of another architecture.
    """
    if kind not in KINDS:
        raise LaspaError(unknown_choice("laspa import", kind, KINDS))
    public = KINDS[kind]
    tensors = _read(file)
    if public.last not in tensors:
        raise LaspaError(f"{file}: has no {public.last}, so it is not a checkpoint of {public.what}")
    dim = len(tensors[public.last])
    model = Laspa(_system(public.encoder, dim), public.features.num_mels, 0, 0).eval()
    _load(model.speaker_encoder, tensors, public, file)
    settings = mel_settings(public.features)
    save_model(output, model, {"settings": settings, "digest": digest(settings)}, [], [])
    return dim


def _load(encoder: torch.nn.Module, tensors: Mapping[str, Tensor], public: Kind, file: Path) -> None:
    ours = encoder.state_dict()
    found: dict[str, Tensor] = {}
    surplus = []
    for theirs, value in tensors.items():
        name = public.rename(theirs)
        if name not in ours:
            surplus.append(theirs)
            continue
        # A convolution over one frame is a linear layer.
        found[name] = value.reshape(ours[name].shape) if value.numel() == ours[name].numel() else value
    missing = sorted(ours.keys() - found.keys())
    shapes = [
        f"{name} is {tuple(value.shape)}, not {tuple(ours[name].shape)}"
        for name, value in found.items()
        if value.shape != ours[name].shape
    ]
    wrong = [
        f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
        for what, names in (("unknown", surplus), ("missing", missing), ("of another shape", shapes))
        if names
    ]
    if wrong:
        raise LaspaError(f"{file}: not the weights of {public.what}: {'; '.join(wrong)}")
    encoder.load_state_dict(found)


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of one by torch.save that holds nothing but tensors."""
    if file.suffix == ".safetensors":
        return read_tensors(file)[0]
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise LaspaError(f"{file}: no such file") from None
    except pickle.UnpicklingError:
        raise LaspaError(
            f"{file}: holds more than tensors (pickled objects), which are not loaded; save the model's "
            "state_dict() alone"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise LaspaError(f"{file}: not a checkpoint of torch ({str(error).splitlines()[0]})") from None
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise LaspaError(f"{file}: is not a table of tensors; save the model's state_dict() alone")
    return {str(name): value for name, value in found.items()}


def _system(encoder: str, dim: int) -> System:
    """The baseline: nothing but the speaker encoder is built. What belongs to training is never read."""
    weights = LossWeights(aam=1.0, nll=0.0, mapc=0.0, mse=0.0, grl=0.0)
    model = Model(
        speaker_encoder=encoder,
        language_encoder="tdnn_small",
        embedding_dim=dim,
        fusion="prefix",
        attention_dim=1,
        keys="pooled",
        heads="encoder",
        decoder_dim=8,
        content_dim=0,
        sub_centres=1,
        mapc="batch",
        centring="none",
    )
    return System(
        prefix_len=0, num_heads=1, aam_margin=0.2, aam_scale=32.0, loss_weights=weights, model=model
    )


def _by_table(table: Mapping[str, str]) -> Callable[[str], str | None]:
    """Renames by the first pattern that the start of a name fits; the rest of the name stays."""
    patterns = [(re.compile(theirs), ours) for theirs, ours in table.items()]

    def rename(name: str) -> str | None:
        return next(
            (
                match.expand(ours) + name[match.end() :]
                for theirs, ours in patterns
                if (match := theirs.match(name))
            ),
            None,
        )

    return rename


def _campplus(name: str) -> str | None:
    """3D-Speaker's blocks of dense layers, each with a transition behind it, are one list here."""
    match = re.match(r"xvector\.(?:block(\d)\.tdnnd(\d+)|transit(\d))\.", name)
    if match is None:
        return _CAMPPLUS_ENDS(name)
    block, layer, transition = (int(number or 0) for number in match.groups())
    sizes = [layers for layers, _ in DENSE_BLOCKS]
    place = (
        sum(sizes[: block - 1]) + block - 1 + layer - 1 if block else sum(sizes[:transition]) + transition - 1
    )
    inside = (_CAMPPLUS_DENSE if block else _CAMPPLUS_TRANSITION)(name[match.end() :])
    return inside and f"layers.{place}.{inside}"


_CAMPPLUS_DENSE = _by_table(
    {
        r"nonlinear1\.batchnorm": "narrow.0",
        r"linear1": "narrow.2",
        r"nonlinear2\.batchnorm": "narrow.3",
        r"cam_layer\.linear_local": "local",
        r"cam_layer\.linear1": "gate.0",
        r"cam_layer\.linear2": "gate.2",
    }
)
_CAMPPLUS_TRANSITION = _by_table({r"nonlinear\.batchnorm": "0", "linear": "2"})
_CAMPPLUS_ENDS = _by_table(
    {
        r"head\.conv1": "front.enter.0",
        r"head\.bn1": "front.enter.1",
        r"head\.conv2": "front.leave.0",
        r"head\.bn2": "front.leave.1",
        **{
            rf"head\.layer{layer}\.{block}\.{theirs}": f"front.blocks.{2 * (layer - 1) + block}.{ours}"
            for layer in (1, 2)
            for block in (0, 1)
            for theirs, ours in (
                ("conv1", "first.0"),
                ("bn1", "first.1"),
                ("conv2", "second.0"),
                ("bn2", "second.1"),
                ("shortcut", "shortcut"),
            )
        },
        r"xvector\.tdnn\.linear": "stem.0",
        r"xvector\.tdnn\.nonlinear\.batchnorm": "stem.1",
        r"xvector\.out_nonlinear\.batchnorm": "last.0",
        r"xvector\.dense\.linear": "project.0",
        r"xvector\.dense\.nonlinear\.batchnorm": "project.1",
    }
)

KINDS = {
    "campplus": Kind("3D-Speaker's CAM++", "campplus", KALDI, "xvector.dense.linear.weight", _campplus),
}
