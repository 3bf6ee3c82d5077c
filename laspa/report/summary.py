"""What stands in reports/summary.json, looked up: rates, differences to the baseline, what they show.

The functions also read what laspa/report/seeds.py merged: the ablation.
"""

from typing import Any

from laspa.report.seeds import paired

BASELINE, LASPA, PLUS = "baseline", "laspa", "laspa_plus"
MAIN_CONDITIONS = ("cross_same", "same_same", "all")  # in tables without room for all
PAIR_NORM = "pair_norm"  # like OTHER, a part of a system's results with `conditions` of its own

Summary = dict[str, Any]


def headliners(summary: Summary) -> list[str]:
    """The systems of the comparison: the baseline first, the default last."""
    last = {LASPA: 1, summary.get("default"): 3, BASELINE: 0}
    return sorted(summary["systems"], key=lambda name: (last.get(name, 2), name))


def in_detail(summary: Summary) -> str:
    """The system that the page shows in detail: the default; for the baseline, LASPA or what is beside it."""
    others = [name for name in headliners(summary) if name != BASELINE]
    if summary["default"] in others or not others:
        return str(summary["default"])
    return LASPA if LASPA in others else others[-1]


def rate(
    summary: Summary, system: str, condition: str, metric: str = "eer", part: str = ""
) -> dict[str, Any] | None:
    """A system's rate as `{mean, low, high}`, or None where the summary has none.

    Args:
        part: of the system's results, by dotted name: `other`, `pair_norm`; empty for the test split.
    """
    rates = _conditions(summary["systems"].get(system, {}), part).get(condition, {})
    value = rates.get(metric)
    if value is None or isinstance(value, dict):
        return value
    return {"mean": value, "low": rates.get(f"{metric}_low"), "high": rates.get(f"{metric}_high")}


def difference(summary: Summary, system: str, condition: str, part: str = "") -> dict[str, Any] | None:
    """EER of a system minus the baseline's, with its interval; None where one is missing.

    The interval is over speakers where the summary has it, else over seeds, by which it is then paired.
    """
    found = summary["systems"].get(system, {})
    if "difference" in found:
        rates = _conditions(found["difference"], part).get(condition)
        return rates and {"mean": rates["eer"], "low": rates["eer_low"], "high": rates["eer_high"]}
    ours, theirs = rate(summary, system, condition, part=part), rate(summary, BASELINE, condition, part=part)
    if ours is None or theirs is None or "values" not in ours:
        return None
    path = (*filter(None, part.split(".")), "conditions", condition, "eer")
    return paired(found, summary["systems"][BASELINE], *path)


def relative(summary: Summary, system: str, condition: str, part: str = "") -> float | None:
    """Change of the EER as a share of the baseline's; None where one is missing or the baseline's is 0."""
    ours, theirs = rate(summary, system, condition, part=part), rate(summary, BASELINE, condition, part=part)
    if ours is None or theirs is None or theirs["mean"] == 0 or system == BASELINE:
        return None
    return float(ours["mean"] / theirs["mean"] - 1)


def main_condition(summary: Summary) -> str:
    """The condition by which systems are compared: cross / same where the corpus has it."""
    return "cross_same" if any(rate(summary, name, "cross_same") for name in summary["systems"]) else "all"


def verdict(found: dict[str, Any] | None) -> str:
    """What a difference shows: `lower`, `higher`, `unclear` (interval around 0), `unknown` (no interval)."""
    if found is None or found["low"] is None:
        return "unknown"
    if found["high"] < 0:
        return "lower"
    return "higher" if found["low"] > 0 else "unclear"


def _conditions(found: dict[str, Any], part: str) -> dict[str, Any]:
    for key in filter(None, part.split(".")):
        found = found.get(key) or {}
    return found.get("conditions") or {}
