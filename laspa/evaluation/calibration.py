"""Scores as log likelihood ratios: an affine map fitted by logistic regression on dev trials."""

from dataclasses import dataclass

import numpy as np

from laspa.errors import LaspaError

PRIOR = 0.5  # of a target in the fit, whatever the share of targets in dev; our choice
STEPS = 100
SMALLEST_STEP = 1e-10  # in units of the standardised scores' weights


@dataclass(frozen=True)
class Calibration:
    """ratio = slope · score + offset, in natural logarithms."""

    slope: float
    offset: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return self.slope * scores + self.offset


def fit_calibration(target: np.ndarray, nontarget: np.ndarray, prior: float = PRIOR) -> Calibration:
    """Least prior-weighted cross-entropy, by Newton's method (Brümmer and du Preez, 2006).

    Args:
        target, nontarget: scores of dev trials; never those of the trials that are to be measured.

    Raises:
        LaspaError: the classes do not overlap, so that no finite slope is best, or all scores are equal.
    """
    if target.min() >= nontarget.max() or target.max() <= nontarget.min():
        raise LaspaError(
            f"calibration: the {len(target)} target and {len(nontarget)} non-target scores do not overlap, "
            "any slope is as good as a larger one; fit on more or harder dev trials"
        )
    scores = np.concatenate([target, nontarget]).astype(np.float64)
    centre, scale = scores.mean(), scores.std()
    inputs = np.stack([(scores - centre) / scale, np.ones_like(scores)], axis=1)
    wanted = np.arange(len(scores)) < len(target)
    weight = np.where(wanted, prior / len(target), (1 - prior) / len(nontarget))
    log_odds = np.log(prior / (1 - prior))

    def loss(at: np.ndarray) -> float:
        sign = np.where(wanted, -1.0, 1.0)
        return float(weight @ np.logaddexp(0, sign * (inputs @ at + log_odds)))

    solution = np.zeros(2)
    for _ in range(STEPS):
        # The tanh form of the logistic function does not overflow.
        probability = 0.5 * (1 + np.tanh((inputs @ solution + log_odds) / 2))
        gradient = inputs.T @ (weight * (probability - wanted))
        curvature = (inputs.T * (weight * probability * (1 - probability))) @ inputs
        step = np.linalg.solve(curvature, gradient)
        while loss(solution - step) > loss(solution) and np.abs(step).max() > SMALLEST_STEP:
            step = step / 2
        solution = solution - step
        if np.abs(step).max() <= SMALLEST_STEP:
            break
    slope = solution[0] / scale
    return Calibration(float(slope), float(solution[1] - slope * centre))
