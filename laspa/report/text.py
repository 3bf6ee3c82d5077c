"""Numbers and findings as text: the same on the page and on the terminal."""

from typing import Any

from laspa.report.summary import BASELINE, Summary, difference, headliners, rate, verdict
from laspa.trials.conditions import CONDITIONS

LABELS = {
    "baseline": "Baseline",
    "laspa": "LASPA",
    "laspa_plus": "LASPA+",
    "grl": "GRL",
    "grl_mapc": "GRL + MAPC",
    "concat": "Concat fusion",
    "no_prefix": "LASPA − prefix",
    "no_mapc": "LASPA − MAPC",
    "no_mse": "LASPA − MSE",
    "no_nll": "LASPA − NLL",
}


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
    """Change of the mean EER against the baseline's: `−12 %`."""
    ours, theirs = rate(summary, system, condition), rate(summary, BASELINE, condition)
    if ours is None or theirs is None or theirs["mean"] == 0 or system == BASELINE:
        return "–"
    change = 100 * (ours["mean"] / theirs["mean"] - 1)
    return f"{_sign(change)}{abs(change):.0f} %"


def headline(summary: Summary) -> dict[str, list[str]]:
    """By condition, the EER of each of the headliners and, last, of the trained model."""
    rows = {}
    for name in CONDITIONS:
        cells = [interval_text(rate(summary, system, name)) for system in headliners(summary)]
        cells.append(rate_text(summary["trained"]["conditions"].get(name)))
        if set(cells) != {"–"}:
            rows[name] = cells
    return rows


def findings(summary: Summary) -> list[str]:
    """Is LASPA, or LASPA+, below the baseline or above it? A sentence for each of them and each condition."""
    sentences = []
    for system in headliners(summary):
        for condition, about in CONDITIONS.items():
            found = difference(summary, system, condition)
            if system == BASELINE or condition == "all" or found is None:
                continue
            name = LABELS[system]
            told = {
                "lower": f"{name} is below the baseline",
                "higher": f"{name} is above the baseline: it does worse",
                "unclear": f"{name} does not beat the baseline: the interval of the difference includes 0",
                "unknown": f"one seed, so no conclusion whether {name} beats the baseline",
            }[verdict(found)]
            sentences.append(f"{about.label}: {told}, {points_text(found)}")
    return sentences


def left_out(summary: Summary) -> dict[str, str]:
    """By label, the conditions that this corpus cannot have, and why."""
    reasons = summary["trained"].get("omitted") or {}
    return {CONDITIONS[name].label if name in CONDITIONS else name: str(why) for name, why in reasons.items()}


def term_abbreviation(term: str) -> str:
    """A loss term as the paper abbreviates it: AAM, MAPC; one that has no abbreviation by its name."""
    return term.upper() if len(term) <= 4 else term


def _signed(share: float) -> str:
    return _sign(share) + percent(abs(share))


def _sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else "±"
