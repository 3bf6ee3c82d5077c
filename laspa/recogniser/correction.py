"""What a backend of `laspa backend fit` changes in the front door: scores, decisions, and languages heard."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from laspa.backend.parts import posteriors, trial_scores
from laspa.backend.recording import far_away
from laspa.backend.saving import Backend
from laspa.recogniser.decision import ANY, Decision, PairDecision


class Correction(NamedTuple):
    """A backend and its file."""

    path: Path
    backend: Backend

    def scores(self, one: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n,) float32 of an embedding (D,) with each of others (n, D); languages are told from them."""
        vectors = np.concatenate([one[None], others])
        spoken = posteriors(self.backend.fitted, vectors)
        test = np.arange(1, len(vectors))
        return trial_scores(self.backend.fitted, vectors, spoken, np.zeros_like(test), test)

    def language(self, embedding: np.ndarray) -> tuple[str, float] | None:
        """The language told from an embedding (D,), and its posterior; None where it learnt of one only."""
        fitted = self.backend.fitted
        if not len(fitted.weights):
            return None
        posterior = posteriors(fitted, embedding[None])[0]
        best = int(posterior.argmax())
        return fitted.languages[best], float(posterior[best])

    def recorded_otherwise(self, embedding: np.ndarray) -> bool:
        """Whether a recording is probably none like those of the speakers that the backend was learnt of."""
        backend = self.backend
        return bool(backend.fitted.parts) and bool(
            far_away(backend.fitted, backend.nearness, embedding[None])[0]
        )

    @property
    def decision(self) -> Decision | None:
        """Calibration and thresholds of its scores; None where it has none."""
        calibration = self.backend.calibration
        if self.backend.decision is None or calibration is None:
            return None
        pair = PairDecision(ANY, calibration, self.backend.decision["thresholds"])
        return Decision(self.path, {ANY: pair})
