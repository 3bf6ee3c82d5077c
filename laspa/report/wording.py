"""Numbers and findings in words: the same on the page and on the terminal."""

from typing import Any

from laspa.report.summary import BASELINE, Summary, difference, headliners, rate, verdict

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
CONDITION_LABELS = {
    "cross_same": "cross / same",
    "same_same": "same / same",
    "cross_cross": "cross / cross",
    "same_cross": "same / cross",
    "all": "all trials",
}


def percent(share: float) -> str:
    """A share of 1 as per cent, three digits: 0.0123 → 1.23, 0.123 → 12.3."""
    return f"{100 * share:.1f}" if abs(share) >= 0.09995 else f"{100 * share:.2f}"


def interval_text(found: dict[str, Any] | None) -> str:
    """A rate with its interval: `12.3 (11.0–13.6)`; without one where there is one seed; – where unknown."""
    if found is None:
        return "–"
    if found["low"] is None:
        return percent(found["mean"])
    return f"{percent(found['mean'])} ({percent(max(found['low'], 0))}–{percent(found['high'])})"


def trained_text(rates: dict[str, Any] | None) -> str:
    """The trained model's EER with its bootstrap interval over speakers."""
    if not rates:
        return "–"
    return interval_text({"mean": rates["eer"], "low": rates.get("eer_low"), "high": rates.get("eer_high")})


def points_text(found: dict[str, Any]) -> str:
    """A difference of rates in percentage points: `−1.20 points (−2.00 to −0.40)`."""
    if found["low"] is None:
        return f"{_signed(found['mean'])} points"
    return f"{_signed(found['mean'])} points ({_signed(found['low'])} to {_signed(found['high'])})"


def relative_text(summary: Summary, system: str, condition: str) -> str:
    """Change of the mean EER against the baseline's: `−12 %`."""
    ours, theirs = rate(summary, system, condition), rate(summary, BASELINE, condition)
    if ours is None or theirs is None or theirs["mean"] == 0 or system == BASELINE:
        return "–"
    change = 100 * (ours["mean"] / theirs["mean"] - 1)
    return f"{'+' if change > 0 else '−' if change < 0 else '±'}{abs(change):.0f} %"


def findings(summary: Summary) -> list[str]:
    """Sentences on LASPA and LASPA+ against the baseline, one a condition."""
    return [text for name in headliners(summary) if name != BASELINE for text in _findings(summary, name)]


def _findings(summary: Summary, system: str) -> list[str]:
    """Is the system below the baseline, above it, or is nothing shown?"""
    name = LABELS.get(system, system)
    sentences = []
    for condition in ("cross_same", "same_same", "cross_cross", "same_cross"):
        found = difference(summary, system, condition)
        if found is None:
            continue
        told = {
            "lower": f"{name} is below the baseline",
            "higher": f"{name} is above the baseline: it does worse",
            "unclear": f"{name} does not beat the baseline: the interval of the difference includes 0",
            "unknown": f"one seed, so no conclusion whether {name} beats the baseline",
        }[verdict(found)]
        sentences.append(f"{CONDITION_LABELS[condition]}: {told}, {points_text(found)}")
    return sentences


def _signed(share: float) -> str:
    sign = "+" if share > 0 else "−" if share < 0 else "±"
    return sign + percent(abs(share))
