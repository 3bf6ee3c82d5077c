"""A fitted backend as one safetensors file: what was learnt, of whom, of which model's embeddings."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from laspa.backend.parts import Fitted, posteriors, trial_scores
from laspa.backend.recording import far_away
from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.files import atomic_path, parsed

FORM = 3  # of the file: raise it when its meaning changes
METADATA = "laspa.backend"
ABOUT = ("model", "speakers", "utterances", "decision", "nearness", "reason")  # fields in JSON


@dataclass(frozen=True)
class Backend:
    """What scores trials.

    model: digest of the recogniser whose embeddings it was learnt of, empty where they do not say.
    speakers, utterances: that it was learnt of. decision: slope, offset and thresholds of the scores, as in
    calibration.json, or None. nearness: that recordings like theirs have
    (laspa/backend/recording.py). reason: why nothing is changed, or empty.
    """

    fitted: Fitted
    model: str
    speakers: list[str]
    utterances: list[str]
    decision: dict[str, Any] | None
    nearness: float
    reason: str
    path: Path = Path()  # of its file

    def scores(self, one: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n,) float32 of an embedding (D,) with each of others (n, D); languages are told from them."""
        vectors = np.concatenate([one[None], others])
        test = np.arange(1, len(vectors))
        spoken = posteriors(self.fitted, vectors)
        return trial_scores(self.fitted, vectors, spoken, np.zeros_like(test), test)

    def language(self, embedding: np.ndarray) -> tuple[str, float] | None:
        """The language told from an embedding (D,), and its posterior; None where it learnt of one only."""
        if not len(self.fitted.weights):
            return None
        posterior = posteriors(self.fitted, embedding[None])[0]
        best = int(posterior.argmax())
        return self.fitted.languages[best], float(posterior[best])

    def recorded_otherwise(self, embedding: np.ndarray) -> bool:
        """Whether a recording is probably none like those of the speakers that it was learnt of."""
        parts = self.fitted.parts
        return bool(parts) and bool(far_away(self.fitted, self.nearness, embedding[None])[0])

    @property
    def calibration(self) -> Calibration | None:
        """Of the scores."""
        found = self.decision
        return None if found is None else Calibration(found["slope"], found["offset"])

    def check_recogniser(self, path: Path | str, model: str, dim: int, source: str) -> None:
        """Refuse embeddings of another recogniser.

        Args:
            path: of this backend. model: digest of the recogniser, or empty. dim: length of the embeddings.
            source: whose they are.
        """
        if model and self.model and model != self.model:
            raise LaspaError(
                f"{path}: was learnt of embeddings of the model {self.model[:12]}, but {source} is of "
                f"{model[:12]}; fit a backend on embeddings of this model"
            )
        if (learnt := self.fitted.means.shape[1]) != dim:
            raise LaspaError(
                f"{path}: was learnt of vectors of length {learnt}, {source} has vectors of {dim}; it "
                "belongs to another recogniser"
            )


def save_backend(path: Path, backend: Backend) -> None:
    """Write it, whole or not at all."""
    arrays = {
        one.name: np.ascontiguousarray(value)
        for one in fields(Fitted)
        if isinstance(value := getattr(backend.fitted, one.name), np.ndarray)
    }
    said = {"form": FORM, "parts": backend.fitted.parts, "languages": backend.fitted.languages}
    said |= {name: getattr(backend, name) for name in ABOUT}
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
            fitted = Fitted(tuple(said["parts"]), said["languages"], **arrays)
            return Backend(fitted, **{name: said[name] for name in ABOUT}, path=path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; {remedy}") from None
