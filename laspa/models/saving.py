"""Models and training state on disk: safetensors and JSON. Nothing is unpickled."""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from laspa.errors import LaspaError
from laspa.files import atomic_path, parsed, read_json, write_json
from laspa.models.laspa import Laspa
from laspa.params import System
from laspa.params.dotted import flatten

WEIGHTS_FILE, LAST_FILE, CONFIG_FILE = "model.safetensors", "last.safetensors", "config.json"
HEADS = ("speaker_head.", "language_head.", "adversary.", "centring.")  # what depends on the training labels


def save_model(
    folder: Path,
    model: Laspa,
    features: dict[str, Any],
    speakers: list[str],
    languages: list[str],
    last: dict[str, Tensor] | None = None,
) -> None:
    """Write the weights and what rebuilds the model, or nothing.

    Args:
        features: `settings` and `digest` of the mels that it was trained on, as `FeatureStore` has them.
        last: the weights of the last epoch.
    """
    config = {"system": model.system.as_system().model_dump(), "features": features}
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(_on_cpu(model.state_dict()), temporary / WEIGHTS_FILE)
        if last is not None:
            save_file(_on_cpu(last), temporary / LAST_FILE)
        write_json(temporary / CONFIG_FILE, config | {"speakers": speakers, "languages": languages})


def load_model(folder: Path, weights: str = WEIGHTS_FILE) -> tuple[Laspa, dict[str, Any]]:
    """A saved model on the CPU, and its config: system, features, speakers, languages.

    Args:
        weights: the file of the best epoch's weights, or of the last one's, LAST_FILE.

    Raises:
        LaspaError: a missing or damaged file, a model of an older laspa, or weights that are not of the
            config's architecture.
    """
    config = _config(folder)
    system = _system(config, folder / CONFIG_FILE)
    with parsed(folder / CONFIG_FILE, "a model's config", "copy the whole folder again, or train it again"):
        settings = config["features"]["settings"]
        model = Laspa(system, settings["num_mels"], len(config["speakers"]), len(config["languages"]))
    model.mel_settings = settings
    tensors, _ = read_tensors(folder / weights)
    if differ := _differing(tensors, model.state_dict()):
        raise LaspaError(
            f"{folder / weights}: not weights of {folder / CONFIG_FILE}: {differ}; copy the whole "
            "folder again, or train it again"
        )
    model.load_state_dict(tensors)
    return model, config


def load_body(folder: Path, model: Laspa) -> None:
    """Take a saved model's weights over into `model`, all but its heads: for other speakers and languages.

    A whole part that only one of both has, such as the decoder, is left as it is: an imported recogniser has
    a speaker encoder alone.

    Raises:
        LaspaError: a missing or damaged file, or another architecture; the message names what differs.
    """
    theirs = _system(_config(folder), folder / CONFIG_FILE)
    tensors, _ = read_tensors(folder / WEIGHTS_FILE)
    ours = model.state_dict()
    body = {name: value for name, value in tensors.items() if not name.startswith(HEADS)}
    wanted = {name for name in ours if not name.startswith(HEADS)}
    both = {_part(name) for name in body} & {_part(name) for name in wanted}
    body = {name: value for name, value in body.items() if _part(name) in both}
    wanted = {name for name in wanted if _part(name) in both}
    if body.keys() != wanted or any(body[name].shape != ours[name].shape for name in wanted):
        here, there = (flatten(system.model_dump()) for system in (model.system.as_system(), theirs))
        differ = [
            f"{name} is {there[name]} there and {here[name]} here"
            for name in here
            if here[name] != there[name]
        ]
        raise LaspaError(
            f"params.yaml: train.weights_from is {folder}, a model of another architecture: "
            f"{'; '.join(differ) or 'its mels have another number of bands'}"
        )
    model.load_state_dict(ours | body)


def _part(name: str) -> str:
    return name.partition(".")[0]


def check_mels(model: Laspa, settings: dict[str, Any], source: str) -> None:
    """Refuse mels that were made with other settings than those the model was trained on.

    Args:
        settings: of the mels, as `laspa.features.settings.mel_settings`; source: whose they are.

    Raises:
        LaspaError: names each setting that differs.
    """
    _refuse_other_mels(model.mel_settings or settings, settings, source)


def check_body_mels(folder: Path, settings: dict[str, Any], source: str) -> None:
    """As `check_mels`, of a saved model."""
    _refuse_other_mels(_config(folder)["features"]["settings"], settings, source)


def _refuse_other_mels(wanted: dict[str, Any], settings: dict[str, Any], source: str) -> None:
    if (kinds := [one.get("kind", "mel") for one in (settings, wanted)])[0] != kinds[1]:
        raise LaspaError(
            f"{source}: features of the kind {kinds[0]}, but the model reads the kind {kinds[1]}; set "
            f"features.kind in params.yaml to {kinds[1]}, or train the model on these features"
        )
    differ = [
        f"{name} is {settings.get(name)} there and {wanted.get(name)} in the model"
        for name in sorted(wanted.keys() | settings.keys())
        if settings.get(name) != wanted.get(name)
    ]
    if differ:
        raise LaspaError(
            f"{source}: not the mels that the model was trained on: {'; '.join(differ)}; set `features` in "
            "params.yaml to the model's settings, or train the model on these mels"
        )


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = read_json(folder / CONFIG_FILE)
    lacking = [key for key in ("system", "speakers", "languages") if key not in config]
    if lacking:
        raise LaspaError(f"{folder / CONFIG_FILE}: not a model's config: {', '.join(lacking)} is missing")
    if "features" not in config:
        raise LaspaError(
            f"{folder / CONFIG_FILE}: saved by an older laspa, without the settings of its mels (features); "
            "train it again"
        )
    return config


def _system(config: dict[str, Any], path: Path) -> System:
    try:
        return System.model_validate(config["system"])
    except ValidationError as error:
        keys = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors())
        raise LaspaError(
            f"{path}: saved by another version, which differs in {keys}; train it again"
        ) from None


def save_state(
    path: Path,
    model: nn.Module,
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    meta: dict[str, Any],
) -> None:
    """Write the whole training state at the end of an epoch, or nothing."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    with atomic_path(path) as temporary:
        save_file(_on_cpu(tensors), temporary, metadata={"laspa": json.dumps(meta)})


def state_bytes(system: System, num_mels: int, speakers: int, languages: int) -> int:
    """About what `save_state` writes: the weights, those of the best epoch, the optimiser's two moments."""
    with torch.device("meta"):
        model = Laspa(system, num_mels, speakers, languages)
    return 4 * sum(value.nbytes for value in model.state_dict().values())


def restore_state(
    tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> dict[str, Tensor]:
    """Restore `model` and `optimizer` in place from what `save_state` wrote to `path`.

    Returns:
        the best epoch's weights.

    Raises:
        LaspaError: the state of another model; the message names what differs.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    if differ := _differing(parts["model"], model.state_dict()):
        raise LaspaError(f"{path}: the state of another model: {differ}; delete it to train from the start")
    model.load_state_dict(parts["model"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return parts["best"]


def _differing(there: dict[str, Tensor], here: dict[str, Tensor]) -> str:
    """The first tensor of another shape, and whether there are more; empty if none differs."""
    differ = [
        f"{name} is {_shape(there.get(name))} there and {_shape(here.get(name))} here"
        for name in sorted(here.keys() | there.keys())
        if _shape(there.get(name)) != _shape(here.get(name))
    ]
    return differ[0] + " and more" * (len(differ) > 1) if differ else ""


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else " × ".join(map(str, tensor.shape)) or "a number"


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a safetensors file, and laspa's metadata in it.

    Raises:
        LaspaError: a missing or damaged file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("laspa", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage train (dvc repro train)") from None
    except SafetensorError as error:
        raise LaspaError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from None


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
