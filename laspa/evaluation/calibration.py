"""Scores as log likelihood ratios: an affine map fitted by logistic regression on dev trials."""

from dataclasses import dataclass

import numpy as np

from laspa.errors import LaspaError

PRIOR = 0.5  # of a target in the fit, whatever the share of targets in dev; our choice
TOLERANCE, ITERATIONS = 1e-10, 100


@dataclass(frozen=True)
class Calibration:
    """ratio = slope · score + offset, in natural logarithms."""

    slope: float
    offset: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return self.slope * scores + self.offset


def fit_calibration(target: np.ndarray, nontarget: np.ndarray, prior: float = PRIOR) -> Calibration:
    """The map with the least prior-weighted cross-entropy (Brümmer and du Preez, 2006).

    Args:
        target, nontarget: scores of dev trials; never those of the trials that are to be measured.

    Raises:
        LaspaError: the classes do not overlap, so that no finite slope is best, or all scores are equal.
    """
    from sklearn.linear_model import LogisticRegression  # takes longer to import than all of this room

    if target.min() >= nontarget.max() or target.max() <= nontarget.min():
        raise LaspaError(
            f"calibration: the {len(target)} target and {len(nontarget)} non-target scores do not overlap, "
            "so that no finite slope is best; fit on more or harder dev trials"
        )
    scores = np.concatenate([target, nontarget]).astype(np.float64)
    centre, scale = scores.mean(), scores.std()
    is_target = np.arange(len(scores)) < len(target)
    weight = np.where(is_target, prior / len(target), (1 - prior) / len(nontarget)) * len(scores)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=TOLERANCE, max_iter=ITERATIONS)
    regression.fit((scores[:, None] - centre) / scale, is_target, sample_weight=weight)
    slope = float(regression.coef_[0, 0]) / scale
    return Calibration(slope, float(regression.intercept_[0]) - np.log(prior / (1 - prior)) - slope * centre)
