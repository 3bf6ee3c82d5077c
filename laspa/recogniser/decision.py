"""From a score to a decision: the calibration of a model's folder, fitted on dev."""

import math
from dataclasses import dataclass
from pathlib import Path

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.files import read_json

CALIBRATION_FILE = "calibration.json"
FORM = 1  # of the file: raise it when its keys change their meaning
EER = "eer"  # name of the threshold at which both error rates are equal


def far_name(far: float) -> str:
    """Name of the threshold that accepts this share of the non-targets: 0.01 is `far_0.01`."""
    return f"far_{far:g}"


@dataclass(frozen=True)
class Decision:
    """What a score means.

    calibration: score → natural log likelihood ratio. thresholds: of the score, by `EER` and `far_name`.
    """

    path: Path
    calibration: Calibration
    thresholds: dict[str, float]

    def log_likelihood_ratio(self, score: float) -> float:
        """Natural logarithm of how much likelier the score is from one speaker than from two."""
        return self.calibration.slope * score + self.calibration.offset

    def threshold(self, far: float | None = None) -> float:
        """Of the score: with equal error rates on dev, or with this rate of false acceptances.

        Raises:
            LaspaError: no threshold of this rate.
        """
        name = EER if far is None else far_name(far)
        if name not in self.thresholds:
            known = ", ".join(one.removeprefix("far_") for one in self.thresholds if one != EER)
            raise LaspaError(f"--far {far:g}: {self.path} has thresholds for {known}; give a --threshold")
        return self.thresholds[name]


def read_decision(folder: Path | None, digest: str) -> Decision | None:
    """The calibration of a model's folder; None where there is none.

    Raises:
        LaspaError: a file of another form or another model.
    """
    path = None if folder is None else folder / CALIBRATION_FILE
    if path is None or not path.exists():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or found.get("form") != FORM:
        form = found.get("form") if isinstance(found, dict) else None
        raise LaspaError(f"{path}: form is {form}, this laspa reads {FORM}; make it again (stage model)")
    if found["model"] != digest:
        raise LaspaError(
            f"{path}: of another model ({found['model'][:12]}, the weights are {digest[:12]}); make it again "
            "(stage model)"
        )
    return Decision(
        path,
        Calibration(found["slope"], found["offset"]),
        {name: entry["threshold"] for name, entry in found["thresholds"].items()},
    )


def probability(log_likelihood_ratio: float, prior: float) -> float:
    """1 / (1 + e^−(r + ln(p / (1 − p)))): of one speaker, by Bayes' rule."""
    odds = log_likelihood_ratio + math.log(prior / (1 - prior))
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
