"""Is the best of a sweep better? Trained again with several seeds, beside the current params, on test."""

from typing import Any

from laspa.errors import LaspaError
from laspa.report.seeds import interval
from laspa.report.summary import MAIN_CONDITIONS, verdict
from laspa.report.text import interval_text, points_text
from laspa.tuning.space import Values

DEFAULT, FOUND = "default", "found"


def confirmation(best: Values, default: list[dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, Any]:
    """The EERs of both, and their difference, found − default, paired by seed (reports/tune/confirmed.json).

    Each is a mean with a t-interval over seeds, as `laspa.report.summary.interval` gives it; fractions of 1.

    Args:
        best: what the sweep found.
        default, found: results of `pipelines.studies.run`, the same seeds in the same order.

    Raises:
        LaspaError: the two differ in seeds, epochs or trial list.
    """
    for key in ("seed", "trial_list", "epochs"):
        if [result[key] for result in default] != [result[key] for result in found]:
            raise LaspaError(
                f"confirm: the two sides differ in {key}, so they cannot be compared; run confirm anew"
            )
    rates = {}
    for condition in (name for name in MAIN_CONDITIONS if name in default[0]["conditions"]):
        old, new = ([result["conditions"][condition]["eer"] for result in side] for side in (default, found))
        change = [after - before for before, after in zip(old, new, strict=True)]
        rates[condition] = {DEFAULT: interval(old), FOUND: interval(new), "difference": interval(change)}
    return {
        "values": best,
        "seeds": [result["seed"] for result in default],
        "epochs": default[0]["epochs"],
        "trial_list": default[0]["trial_list"],
        "eer": rates,
    }


def confirmation_text(confirmed: dict[str, Any]) -> str:
    """One line: what the sweep gains on test, and whether that is more than seeds make."""
    condition, rates = next(iter(confirmed["eer"].items()))
    difference = rates["difference"]
    told = {"lower": "better", "higher": "worse"}
    shown = told.get(verdict(difference), "no difference that these seeds can tell")
    budget = f"{len(confirmed['seeds'])} seeds of {confirmed['epochs']} epochs"
    return (
        f"Confirmed on {confirmed['trial_list']['name']}, {budget}: EER {condition.replace('_', '/')} "
        f"{interval_text(rates[DEFAULT])} % before, {interval_text(rates[FOUND])} % after, "
        f"{points_text(difference)}, paired by seed: {shown}."
    )
