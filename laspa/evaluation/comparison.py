"""Two systems on the same trials: is the difference of their EERs more than chance?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import eer
from laspa.evaluation.intervals import Sides, percentile_interval, resampled_rates


@dataclass(frozen=True)
class Comparison:
    """EERs as fractions; difference = second − first, with its interval and two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    resamples: int

    def row(self, width: int) -> str:
        """As a printed table has it: EERs in %, in columns of `width`, difference in points, interval, p."""
        rates = " ".join(f"{100 * rate:{width}.3f}" for rate in (self.first, self.second))
        interval = f"{100 * self.low:+.3f} to {100 * self.high:+.3f}"
        return f"{rates} {100 * self.difference:+11.3f}  {interval:<19} {self.p_value:7.3g}"


def compare_parts(
    first: np.ndarray,
    second: np.ndarray,
    target: np.ndarray,
    speakers: Sides,
    parts: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[str, Comparison]:
    """Paired bootstrap over speakers: each resample gives the trials of both systems the same weights.

    The p-value is twice the share of resamples whose difference has the other sign or is zero, counting the
    data themselves as one.

    Args:
        first, second: (trials,) scores of the two systems.
        target: (trials,) boolean.
        parts: (trials,) boolean each, which trials belong to a part.

    Raises:
        LaspaError: no resample holds trials of both classes of a part.
    """
    drawn = [resampled_rates(scores, target, speakers, parts, resamples, seed) for scores in (first, second)]
    compared = {}
    for name, part in parts.items():
        differences = drawn[1][name]["eer"] - drawn[0][name]["eer"]
        differences = differences[~np.isnan(differences)]
        if not len(differences):
            number = len(np.unique(np.append(*speakers)))
            raise LaspaError(
                f"comparison: none of {resamples} resamples of {number} speakers holds targets and "
                "non-targets; more speakers are needed"
            )
        one, other = (eer(scores[part & target], scores[part & ~target]) for scores in (first, second))
        beyond = min(np.sum(differences <= 0), np.sum(differences >= 0)) + 1
        low, high = percentile_interval(differences)
        p_value = min(1.0, float(2 * beyond / (len(differences) + 1)))
        compared[name] = Comparison(one, other, other - one, low, high, p_value, len(differences))
    return compared
