"""Numbers and findings as text: the same on the page and on the terminal."""

from typing import Any

from laspa.report.summary import (
    BASELINE,
    PAIR_NORM,
    Summary,
    difference,
    headliners,
    main_condition,
    rate,
    relative,
    verdict,
)
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
    """A model's rate with its interval over speakers (bootstrap); EER and FRR in per cent, costs as such."""
    if not rates or name not in rates:
        return "–"
    low, high = rates.get(f"{name}_low"), rates.get(f"{name}_high")
    if name.startswith(("eer", "frr")):
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
    return "–" if change is None else f"{_sign(change)}{abs(100 * change):.0f} %"


def headline(summary: Summary) -> list[list[str]]:
    """The comparison as a table: a row per condition and system, its EER and the difference to the baseline.

    Where there are rates of other voices, they are in two further columns. Rates with pair norm, where there
    are any, are rows of their own.
    """
    systems = headliners(summary)
    places = [
        place
        for place in PLACES
        if any(rate(summary, name, condition, part=place) for name in systems for condition in CONDITIONS)
    ]
    heads = ["target / non-target", "system"]
    for place in places:
        heads += [f"EER in %, {PLACES[place]}", "minus baseline, points"]
    rows = [heads]
    for condition in READING_ORDER:
        for norm in ("", PAIR_NORM):
            for system in systems:
                parts = [".".join(filter(None, (place, norm))) for place in places]
                rates = [rate(summary, system, condition, part=part) for part in parts]
                if not any(rates):
                    continue
                cells = [CONDITIONS[condition].label, system_label(system, norm)]
                for part, found in zip(parts, rates, strict=True):
                    change = None if system == BASELINE else difference(summary, system, condition, part)
                    cells += [interval_text(found), "" if system == BASELINE else points_text(change, "")]
                rows.append(cells)
    return rows


def system_label(system: str, norm: str = "") -> str:
    """What a table calls a system."""
    return LABELS.get(system, system) + (", pair norm" if norm else "")


def takeaway(summary: Summary, system: str | None = None) -> str:
    """In one sentence, whether a system, by default the default, beats the baseline, and where."""
    system = system or summary["default"]
    told = []
    for condition in dict.fromkeys((main_condition(summary), "all")):
        changes = []
        for place, about in PLACES.items():
            change = relative(summary, system, condition, place)
            found = difference(summary, system, condition, place)
            if change is None or found is None:
                continue
            share = f"{abs(100 * change):.0f} %"
            shown = {
                "lower": f"{share} lower",
                "higher": f"{share} higher",
                "unclear": "not clearly different",
                "unknown": f"{share} {'lower' if change < 0 else 'higher'} (one seed, no interval)",
            }[verdict(found)]
            changes.append(f"{shown} on {about}")
        if changes:
            told.append(f"the EER of {CONDITIONS[condition].label} is {' and '.join(changes)}")
    return f"{system_label(system)} beside the baseline: {'; '.join(told)}." if told else ""


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
