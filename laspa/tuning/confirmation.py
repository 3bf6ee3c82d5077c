"""Is the best of a sweep better? Trained anew with several seeds, beside the old params, on test."""

from typing import Any

from laspa.errors import LaspaError
from laspa.report.summary import interval
from laspa.report.text import interval_text, points_text
from laspa.tuning.space import Values

CONDITIONS = ("cross_same", "same_same", "all")
DEFAULT, FOUND = "default", "found"


def confirmation(best: Values, default: list[dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, Any]:
    """The EERs of both, and their difference, found − default, paired by seed (reports/tune/confirmed.json).

    Each is a mean with a t-interval over seeds, as `laspa.report.summary.interval` gives it; fractions of 1.

    Args:
        best: what the sweep found.
        default, found: results of `pipelines.systems`, the same seeds in the same order.

    Raises:
        LaspaError: other seeds or another trial list on one side.
    """
    for key in ("seed", "trial_list", "epochs"):
        if [result[key] for result in default] != [result[key] for result in found]:
            raise LaspaError(f"confirm: the two sides differ in {key}; only like is compared with like")
    rates = {}
    for condition in CONDITIONS:
        if condition in default[0]["conditions"]:
            sides = [[result["conditions"][condition]["eer"] for result in side] for side in (default, found)]
            pairs = [after - before for before, after in zip(*sides, strict=True)]
            rates[condition] = {
                DEFAULT: interval(sides[0]),
                FOUND: interval(sides[1]),
                "difference": interval(pairs),
            }
    return {
        "values": best,
        "seeds": [result["seed"] for result in default],
        "epochs": default[0]["epochs"],
        "trial_list": default[0]["trial_list"],
        "eer": rates,
    }


def in_words(confirmed: dict[str, Any]) -> str:
    """One line: what the sweep gains on test, and whether that is more than seeds make."""
    condition, rates = next(iter(confirmed["eer"].items()))
    difference = rates["difference"]
    verdict = "no difference that these seeds can tell"
    if difference["low"] is not None and difference["low"] * difference["high"] > 0:
        verdict = "better" if difference["high"] < 0 else "worse"
    budget = f"{len(confirmed['seeds'])} seeds of {confirmed['epochs']} epochs"
    return (
        f"Confirmed on {confirmed['trial_list']['name']}, {budget}: EER {condition.replace('_', '/')} "
        f"{interval_text(rates[DEFAULT])} % before, {interval_text(rates[FOUND])} % after, "
        f"{points_text(difference)}, paired by seed: {verdict}."
    )
