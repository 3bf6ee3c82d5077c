"""Numbers and findings as text: the same on the page and on the terminal."""

from typing import Any

from laspa.evaluation.error_rates import RATES
from laspa.report.summary import Summary, difference, in_detail, main_condition, relative, verdict
from laspa.trials.conditions import CONDITIONS
from laspa.trials.splits import OTHER

LABELS = {
    "baseline": "Baseline",
    "laspa": "LASPA",
    "laspa_frames": "LASPA, frames",
    "laspa_plus": "LASPA+",
    "grl": "GRL",
    "grl_mapc": "GRL + MAPC",
    "concat": "Concat fusion",
    "no_prefix": "LASPA − prefix",
    "no_mapc": "LASPA − MAPC",
    "no_mse": "LASPA − MSE",
    "no_nll": "LASPA − NLL",
}

# In the order in which a reader should see them: cross / same alone could be improved by a constant.
READING_ORDER = ("cross_same", "all", "cross_cross", "same_same", "same_cross")
PLACES = {"": "this corpus", OTHER: "other voices"}


def percent(share: float | None) -> str:
    """A share of 1 as per cent, three digits: 0.0123 → 1.23, 0.123 → 12.3; – where unknown."""
    if share is None:
        return "–"
    return f"{100 * share:.1f}" if abs(share) >= 0.09995 else f"{100 * share:.2f}"


def counted(values: list[int], unit: str) -> str:
    """How many, least to most: `1 seed`, `3 seeds`, `2 to 4 epochs`."""
    ends = sorted({min(values), max(values)}) if values else []
    return f"{' to '.join(str(value) for value in ends)} {unit}{'' if ends == [1] else 's'}"


def interval_text(found: dict[str, Any] | None) -> str:
    """A rate with its interval: `12.3 (11.0–13.6)`; without one where there is one seed; – where unknown."""
    if found is None:
        return "–"
    if found["low"] is None:
        return percent(found["mean"])
    return f"{percent(found['mean'])} ({percent(max(found['low'], 0))}–{percent(found['high'])})"


def rate_text(rates: dict[str, Any] | None, name: str = "eer") -> str:
    """A model's rate with its interval over speakers (bootstrap); in per cent, or costs as such."""
    if not rates or name not in rates:
        return "–"
    low, high = rates.get(f"{name}_low"), rates.get(f"{name}_high")
    if RATES[name].percent:
        return interval_text({"mean": rates[name], "low": low, "high": high})
    return f"{rates[name]:.3f}" + ("" if low is None else f" ({low:.2f}–{high:.2f})")


def points_text(found: dict[str, Any] | None, unit: str = " points") -> str:
    """A difference of rates in percentage points: `−1.20 points (−2.00 to −0.40)`; – where unknown."""
    if found is None:
        return "–"
    mean = f"{_signed(found['mean'])}{unit}"
    return mean if found["low"] is None else f"{mean} ({_signed(found['low'])} to {_signed(found['high'])})"


def relative_text(summary: Summary, system: str, condition: str) -> str:
    """Change of the EER against the baseline's: `−12 %`."""
    change = relative(summary, system, condition)
    return "–" if change is None else change_text(change)


def change_text(share: float) -> str:
    """A relative change: `−12 %`."""
    return f"{_sign(share)}{abs(100 * share):.0f} %"


def system_label(system: str, norm: str = "") -> str:
    """What a table calls a system."""
    return LABELS.get(system, system) + (", pair norm" if norm else "")


def takeaway(summary: Summary) -> str:
    """In one sentence, whether the system shown in detail beats the baseline: here, and on other voices."""
    system = in_detail(summary)
    told: list[str] = []
    for place, about in PLACES.items():
        changes, sizes, where = [], [], []
        for condition in dict.fromkeys((main_condition(summary), "all")):
            share = relative(summary, system, condition, place)
            change = difference(summary, system, condition, place)
            if share is None or change is None:
                continue
            size = f"{abs(100 * share):.0f} % {'lower' if share < 0 else 'higher'}"
            where.append(f"{'over' if condition == 'all' else 'in'} {CONDITIONS[condition].label}")
            sizes.append(f"{'no clear change' if verdict(change) == 'unclear' else size} {where[-1]}")
            changes.append(change)
        if changes:
            subject, found = system_label(system), judged(changes)
            if told:
                subject, found = "it", found.removesuffix(" than the baseline")
            unclear = all(verdict(change) == "unclear" for change in changes)
            details = f", {' or '.join(where)}" if unclear else f" (EER {', '.join(sizes)})"
            told.append(f"on {about} {subject} {found}{details}")
    sentence = "; ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def judged(changes: list[dict[str, Any]]) -> str:
    """What the differences of a system to the baseline, under several conditions, say together."""
    verdicts = set(map(verdict, changes))
    if "unknown" in verdicts:
        return "was measured once, without an interval"
    part = " in part" if len(verdicts) > 1 else ""
    if {"lower", "higher"} <= verdicts:
        return "is better and worse than the baseline"
    for shown, word in (("lower", "better"), ("higher", "worse")):
        if shown in verdicts:
            return f"is{part} {word} than the baseline"
    return "does not clearly differ from the baseline"


def left_out(summary: Summary) -> dict[str, str]:
    """By label, the conditions that this corpus cannot have, and why."""
    reasons = summary["systems"][summary["default"]].get("omitted") or {}
    return {CONDITIONS[name].label if name in CONDITIONS else name: str(why) for name, why in reasons.items()}


def term_abbreviation(term: str) -> str:
    """A loss term as the paper abbreviates it: AAM, MAPC; one that has no abbreviation by its name."""
    return term.upper() if len(term) <= 4 else term


def _signed(share: float) -> str:
    return _sign(share) + percent(abs(share))


def _sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else "±"
