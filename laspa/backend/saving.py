"""A fitted backend as one safetensors file: what was learnt, of whom, of which model's embeddings."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from laspa.backend.parts import Fitted
from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.files import atomic_path, parsed

FORM = 1  # of the file: raise it when its meaning changes
METADATA = "laspa.backend"


@dataclass(frozen=True)
class Backend:
    """What scores trials.

    model: digest of the recogniser whose embeddings it was learnt of, empty where they do not say.
    speakers, utterances: that it was learnt of. calibration: of the scores, or None. reason: why nothing is
    changed, or empty.
    """

    fitted: Fitted
    model: str
    speakers: list[str]
    utterances: list[str]
    calibration: Calibration | None
    reason: str


def save_backend(path: Path, backend: Backend) -> None:
    """Write it, whole or not at all."""
    arrays = {
        one.name: np.ascontiguousarray(value)
        for one in fields(Fitted)
        if isinstance(value := getattr(backend.fitted, one.name), np.ndarray)
    }
    said: dict[str, Any] = {
        "form": FORM,
        "parts": backend.fitted.parts,
        "languages": backend.fitted.languages,
        "calibration": backend.calibration and [backend.calibration.slope, backend.calibration.offset],
    }
    said |= {name: getattr(backend, name) for name in ("model", "speakers", "utterances", "reason")}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={METADATA: json.dumps(said, sort_keys=True)})


def load_backend(path: Path) -> Backend:
    """What `save_backend` wrote.

    Raises:
        LaspaError: a missing, damaged or foreign file.
    """
    remedy = "make it by laspa backend fit"
    try:
        with parsed(path, "a backend", remedy), safe_open(path, framework="np") as file:
            said = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            if said.get("form") != FORM:
                raise LaspaError(f"{path}: not a backend of this laspa; {remedy}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            calibration = said["calibration"] and Calibration(*said["calibration"])
            fitted = Fitted(tuple(said["parts"]), said["languages"], **arrays)
            about = {name: said[name] for name in ("model", "speakers", "utterances", "reason")}
            return Backend(fitted, calibration=calibration, **about)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; {remedy}") from None
