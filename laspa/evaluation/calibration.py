"""Scores as log likelihood ratios: an affine map fitted by logistic regression on dev trials."""

from dataclasses import dataclass

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import TOLERANCE as ROUNDING
from laspa.evaluation.error_rates import error_rates

PRIOR = 0.5  # of a target in the fit, whatever the share of targets in dev; our choice
TOLERANCE, ITERATIONS = 1e-10, 100
EER = "eer"  # name of the threshold at which both error rates are equal
FALSE_ACCEPTANCES = (0.01, 0.001)  # of the other thresholds


def far_name(far: float) -> str:
    """Name of the threshold that accepts this share of the non-targets: 0.01 is `far_0.01`."""
    return f"far_{far:g}"


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
    if target.min() >= nontarget.max() or target.max() <= nontarget.min():
        raise LaspaError(
            f"calibration: the {len(target)} target and {len(nontarget)} non-target scores do not overlap, "
            "so that no finite slope is best; fit on more or harder dev trials"
        )
    scores = np.concatenate([target, nontarget]).astype(np.float64)
    is_target = np.arange(len(scores)) < len(target)
    weight = np.where(is_target, prior / len(target), (1 - prior) / len(nontarget)) * len(scores)
    (slope,), offset = logistic_weights(scores[None], is_target, weight)
    return Calibration(slope, offset - np.log(prior / (1 - prior)))


def logistic_weights(
    columns: np.ndarray, is_target: np.ndarray, weight: np.ndarray, inverse_penalty: float = np.inf
) -> tuple[list[float], float]:
    """Weights of the columns (k, n) and the offset, by logistic regression, on standardised columns.

    Args:
        is_target: (n,) boolean. weight: (n,) of each row. inverse_penalty: scikit-learn's C; infinite for
            no penalty, with which separable classes have no best weights.
    """
    from sklearn.linear_model import LogisticRegression  # takes longer to import than all of this room

    centre, scale = columns.mean(axis=1), columns.std(axis=1)
    regression = LogisticRegression(
        C=inverse_penalty, solver="newton-cholesky", tol=TOLERANCE, max_iter=ITERATIONS
    )
    regression.fit((columns.T - centre) / scale, is_target, sample_weight=weight)
    weights = regression.coef_[0] / scale
    return weights.tolist(), float(regression.intercept_[0] - weights @ centre)


def thresholds(target: np.ndarray, nontarget: np.ndarray) -> dict[str, float]:
    """Thresholds of the score by name: that with equal error rates, and those of FALSE_ACCEPTANCES."""
    missed, alarm = error_rates(target, nontarget)
    scores = np.unique(np.concatenate([target, nontarget]))
    # The lowest score above which no more non-targets lie than targets below, or at most this share of them.
    limits = {EER: missed} | {far_name(far): far + ROUNDING for far in FALSE_ACCEPTANCES}
    chosen = {name: np.flatnonzero(alarm <= limit)[0] for name, limit in limits.items()}
    # Entry 0 accepts all, entry i + 1 what exceeds scores[i].
    return {name: float(scores[max(place - 1, 0)]) for name, place in chosen.items()}
