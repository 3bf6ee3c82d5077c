"""Calibration against a general optimiser, and on scores whose likelihood ratios are known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from laspa.errors import LaspaError
from laspa.evaluation.calibration import fit_calibration
from laspa.evaluation.error_rates import act_dcf, cllr, eer, min_cllr, min_dcf


def gaussian(targets: int, nontargets: int, seed: int):
    """Means ±1 and variance 1: the log likelihood ratio of a score s is 2·s."""
    generator = np.random.default_rng(seed)
    return generator.normal(1, 1, targets), generator.normal(-1, 1, nontargets)


@pytest.mark.parametrize("prior", [0.5, 0.05])
def test_the_fit_has_the_least_weighted_cross_entropy(prior):
    target, nontarget = gaussian(300, 2000, 1)
    found = fit_calibration(0.01 * target + 7, 0.01 * nontarget + 7, prior)

    def cross_entropy(line):
        sides = line[0] * target + line[1], line[0] * nontarget + line[1]
        odds = np.log(prior / (1 - prior))
        costs = np.logaddexp(0, -sides[0] - odds).mean(), np.logaddexp(0, sides[1] + odds).mean()
        return prior * costs[0] + (1 - prior) * costs[1]

    slope, offset = minimize(
        cross_entropy, [1, 0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-14}
    ).x
    scores = np.linspace(-2, 2, 5)
    np.testing.assert_allclose(found(0.01 * scores + 7), slope * scores + offset, atol=2e-5)


def test_known_likelihood_ratios_are_found():
    fitted = fit_calibration(*gaussian(20_000, 100_000, 2))
    assert fitted.slope == pytest.approx(2, abs=0.05)
    assert fitted.offset == pytest.approx(0, abs=0.05)


def test_calibration_fitted_on_dev_makes_test_scores_usable():
    dev, test = gaussian(2000, 20_000, 3), gaussian(2000, 20_000, 4)
    squashed_dev, squashed = [0.1 * side + 0.4 for side in dev], [0.1 * side + 0.4 for side in test]
    fitted = fit_calibration(*squashed_dev)
    ratios = [fitted(side) for side in squashed]
    assert cllr(*ratios) < 1.03 * min_cllr(*squashed)
    assert cllr(*squashed) > 1.5 * cllr(*ratios)
    assert act_dcf(*ratios, 0.05) < 1.1 * min_dcf(*squashed, 0.05)
    assert eer(*ratios) == pytest.approx(eer(*squashed))


def test_a_backwards_score_gets_a_negative_slope():
    target, nontarget = gaussian(500, 500, 5)
    assert fit_calibration(-target, -nontarget).slope < 0


@pytest.mark.parametrize(("target", "nontarget"), [([1, 2], [-1, 0]), ([0, 0], [0, 0]), ([-2, -1], [0, 1])])
def test_classes_that_do_not_overlap_are_refused(target, nontarget):
    with pytest.raises(LaspaError, match="2 target and 2 non-target scores do not overlap"):
        fit_calibration(np.array(target, dtype=float), np.array(nontarget, dtype=float))
