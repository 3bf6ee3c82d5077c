"""Public checkpoints as model folders: their weights under our names, with the front end that they read.

What a kind's layers are called is in laspa/models/checkpoint_names.py.
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from laspa.audio.reading import SAMPLE_RATE
from laspa.errors import LaspaError
from laspa.features.front_ends import FRONT_ENDS
from laspa.features.settings import mel_settings
from laspa.features.store import digest
from laspa.models.checkpoint_names import KINDS, Kind
from laspa.models.laspa import Laspa
from laspa.models.saving import read_tensors, save_model
from laspa.params import Features, System
from laspa.params.system import LossWeights, Model

SHOWN = 5  # names in a message

LEAST_DIMENSIONS = 8  # as model.embedding_dim


def import_checkpoint(kind: str, file: Path, output: Path) -> int:
    """Write a model folder with a public checkpoint's speaker encoder; the length of its embeddings.

    Raises:
        LaspaError: an unknown kind, an unreadable file, one that holds more than tensors, or names or shapes
            of another architecture.
    """
    if kind not in KINDS:
        raise LaspaError(f"{kind!r} is not a kind of checkpoint; choose one of {', '.join(KINDS)}")
    public = KINDS[kind]
    tensors, config = _read(file)
    last = next((value for name, value in tensors.items() if name.endswith(public.last)), None)
    if last is None:
        raise LaspaError(f"{file}: has no {public.last}, so it is not a checkpoint of {public.what}")
    if (dim := last.shape[:1].numel()) < LEAST_DIMENSIONS:
        raise LaspaError(f"{file}: its {public.last} gives {dim} numbers, too few for an embedding")
    features = _features(public, config, file)
    model, wrong = _fitting(public, tensors, dim, features.num_mels)
    if model is None:
        raise LaspaError(f"{file}: not the weights of {public.what}: {wrong}")
    if bad := [name for name, value in model.state_dict().items() if not value.isfinite().all()]:
        raise LaspaError(
            f"{file}: NaN or infinity in {len(bad)} tensors, {bad[0]} among them; download it again"
        )
    settings = mel_settings(features)
    save_model(output, model, {"settings": settings, "digest": digest(settings)}, [], [])
    return dim


def _features(public: Kind, config: Mapping[str, Any], file: Path) -> Features:
    """The kind's front end; ReDimNet's checkpoints say how far it is theirs."""
    features = FRONT_ENDS[public.front_end].model_copy(update={"num_mels": public.num_mels})
    given = {**config.get("spec_params", {}), **config}
    usual = {"norm_signal": False, "do_preemph": True, "spec_norm": "mn", "feat_type": "pt"}
    differ = [f"{name} {given[name]!r}" for name in usual if given.get(name, usual[name]) != usual[name]]
    if differ:
        raise LaspaError(f"{file}: reads features with {', '.join(differ)}, which laspa does not compute")
    if "hop_length" in config:
        features = features.model_copy(update={"hop_ms": 1000 * config["hop_length"] / SAMPLE_RATE})
    return features


def _fitting(
    public: Kind, tensors: Mapping[str, Tensor], dim: int, num_mels: int
) -> tuple[Laspa | None, str]:
    """The first model of the kind that the weights fit, or what is wrong with the first of all."""
    wrong = []
    for encoder in public.encoders:
        model = Laspa(_system(encoder, dim), num_mels, 0, 0).eval()
        wrong.append(_load(model.speaker_encoder, tensors, public))
        if not wrong[-1]:
            return model, ""
    return None, wrong[0]


def _load(encoder: torch.nn.Module, tensors: Mapping[str, Tensor], public: Kind) -> str:
    """Take over the weights, or say which of them are not the encoder's."""
    ours = encoder.state_dict()
    parts: dict[str, list[tuple[str, Tensor]]] = {}
    surplus = []
    for theirs, value in tensors.items():
        if theirs.startswith(public.ignored):
            continue
        name = public.rename(theirs)
        if "|" in name:  # one of their matrices is two of ours, side by side
            left, right = name.split("|")
            if left in ours and right in ours:
                columns = ours[left].shape[1]
                parts[left], parts[right] = [("", value[:, :columns])], [("", value[:, columns:])]
                continue
        name, _, part = name.partition("#")  # several of their matrices are stacked in one of ours
        if name in ours:
            parts.setdefault(name, []).append((part, value))
        else:
            surplus.append(theirs)
    found = {}
    for name, pieces in parts.items():
        ordered = [value for _, value in sorted(pieces, key=lambda piece: piece[0])]
        value = torch.cat(ordered) if len(ordered) > 1 else ordered[0]
        if (axis := public.rolled(name)) is not None and value.ndim > axis:
            value = value.roll(value.shape[axis] // public.chunks, axis)
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
    if not wrong:
        encoder.load_state_dict(found)
    return "; ".join(wrong)


def _read(file: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """The tensors of a safetensors file, or of one by torch.save without objects, and its `model_config`."""
    if not file.is_file():
        raise LaspaError(f"{file}: no such file")
    if file.suffix == ".safetensors":
        return read_tensors(file)[0], {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused below
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise LaspaError(
            f"{file}: holds more than tensors (pickled objects), which are not loaded; save the model's "
            "state_dict() alone"
        ) from None
    except Exception as error:  # a damaged file makes it raise IndexError, KeyError and more
        text = str(error).partition("\n")[0].partition(". ")[0]  # what follows is advice to unpickle it
        reason = text if isinstance(error, RuntimeError) else "empty or damaged; download it again"
        raise LaspaError(f"{file}: not a checkpoint of torch ({reason})") from None
    config: Mapping[str, Any] = {}
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            config = found.get("model_config") or {}
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise LaspaError(f"{file}: is not a table of tensors; save the model's state_dict() alone")
    return {str(name): value for name, value in found.items()}, config


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
