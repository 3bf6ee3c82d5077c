"""From a score to a decision: the calibration of a model's folder, by the languages heard."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.calibration import EER, Calibration, far_name
from laspa.files import parsed, read_json

CALIBRATION_FILE = "calibration.json"
MIN_SPEECH = 0.5  # seconds of speech that an embedding needs; manifest.min_seconds of the pipeline
FORM = 1  # of the file: raise it when its keys change their meaning
CONFIDENT = (
    0.7  # posterior from which on a language counts as told: the best of 0, 0.5, 0.7, 0.9, 0.99 on dev
)
ANY, SAME, DIFFERENT = "any", "same", "different"  # the languages heard in a pair


def pair_heard(same: Any, posterior: Any) -> np.ndarray:
    """Which calibration fits: SAME or DIFFERENT languages where both are told with confidence, else ANY.

    Args:
        same: whether the model hears the same language on both sides.
        posterior: the lower of the two posteriors.
    """
    return np.where(np.asarray(posterior) >= CONFIDENT, np.where(same, SAME, DIFFERENT), ANY)


@dataclass(frozen=True)
class PairDecision:
    """What a score means for pairs of which this is heard.

    calibration: score → natural log likelihood ratio. thresholds: of the score, by `EER` and `far_name`.
    """

    heard: str
    calibration: Calibration
    thresholds: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """A model's calibrations by the languages heard; ANY is always there."""

    path: Path
    pairs: dict[str, PairDecision]

    def of(self, heard: str) -> PairDecision:
        """That for such pairs, or for any where it has none."""
        return self.pairs.get(heard, self.pairs[ANY])

    def name(self, far: float | None) -> str:
        """The name of a threshold: with equal error rates, or with this rate of false acceptances.

        Raises:
            LaspaError: no threshold of this rate.
        """
        name = EER if far is None else far_name(far)
        if name not in self.pairs[ANY].thresholds:
            known = [one.removeprefix("far_") for one in self.pairs[ANY].thresholds if one != EER]
            raise LaspaError(
                f"--far {far:g}: {self.path} has thresholds for {' and '.join(known)}; give one of them, "
                "or a --threshold"
            )
        return name


def read_decision(folder: Path, digest: str) -> Decision | None:
    """The calibration of a model's folder; None where there is none.

    Raises:
        LaspaError: a file of another form or another model.
    """
    path = folder / CALIBRATION_FILE
    return decision_of(read_json(path), path, digest) if path.exists() else None


def decision_of(found: Any, path: Path, digest: str) -> Decision:
    """The content of a calibration.json, which was found in `path`; raises as `read_decision`."""
    form = found.get("form") if isinstance(found, dict) else None
    if form != FORM:
        raise LaspaError(f"{path}: form is {form}, this laspa reads {FORM}; make it again (stage model)")
    with parsed(path, "a calibration", "make it again (stage model)"):
        if found["model"] != digest:
            raise LaspaError(
                f"{path}: of another model: {found['model'][:12]}, but the weights are {digest[:12]}; make "
                "it again (stage model)"
            )
        return Decision(
            path,
            {
                heard: PairDecision(heard, Calibration(entry["slope"], entry["offset"]), entry["thresholds"])
                for heard, entry in found["languages_heard"].items()
            },
        )


def probability(log_likelihood_ratio: float, prior: float) -> float:
    """1 / (1 + e^−(r + ln(p / (1 − p)))): that it is one speaker, by Bayes' rule."""
    odds = log_likelihood_ratio + math.log(prior / (1 - prior))
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
