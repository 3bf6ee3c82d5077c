"""All systems of the comparison in one place: mean and 95 % interval over seeds (reports/summary.json)."""

import math
from pathlib import Path
from typing import Any

from scipy.stats import t

from laspa.errors import LaspaError
from laspa.files import read_json

BASELINE, LASPA, PLUS = "baseline", "laspa", "laspa_plus"
MAIN_CONDITIONS = ("cross_same", "same_same", "all")  # in tables without room for all
CONFIDENCE = 0.95
LEFT_OUT = ("seed", "system", "history")  # what belongs to one seed alone

Summary = dict[str, Any]


def read_seeds(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results by system, each in the order of its seeds, from `folder/SYSTEM/seed-N.json`.

    Raises:
        LaspaError: no results, or a file that is not one.
    """
    systems: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/seed-*.json")):
        result = read_json(path)
        if not isinstance(result, dict) or "seed" not in result or "conditions" not in result:
            raise LaspaError(f"{path}: no result of an ablation: it should have the keys seed and conditions")
        systems.setdefault(path.parent.name, []).append(result)
    if not systems:
        raise LaspaError(
            f"{folder}: no SYSTEM/seed-N.json; run the stage that writes them (dvc repro ablate)"
        )
    return {name: sorted(results, key=lambda one: int(one["seed"])) for name, results in systems.items()}


def summarise(seeds: dict[str, list[dict[str, Any]]], trained: dict[str, Any]) -> Summary:
    """What reports/summary.json holds: each system's results over seeds, and the trained model's metrics."""
    systems = {}
    for name, results in seeds.items():
        kept = [{key: value for key, value in result.items() if key not in LEFT_OUT} for result in results]
        systems[name] = {**_over_seeds(kept), "seeds": [result["seed"] for result in results]}
    return {"systems": systems, "trained": trained}


def interval(values: list[float]) -> dict[str, Any]:
    """Mean and t-interval of few values: mean ± t(0.975, n − 1) · s / √n. One value has no interval."""
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return {"mean": mean, "low": None, "high": None, "values": values}
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / math.sqrt(count)
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": values}


def headliners(summary: Summary) -> list[str]:
    """Those of baseline, LASPA and LASPA+ that were run: what the result is about."""
    return [name for name in (BASELINE, LASPA, PLUS) if name in summary["systems"]]


def rate(summary: Summary, system: str, condition: str, metric: str = "eer") -> dict[str, Any] | None:
    """Mean and interval of a system's rate, or None where the summary has none."""
    conditions = summary["systems"].get(system, {}).get("conditions", {})
    found = conditions.get(condition, {}).get(metric)
    return found if isinstance(found, dict) else None


def main_condition(summary: Summary) -> str:
    """The condition by which systems are compared: cross / same where the corpus has it."""
    return "cross_same" if any(rate(summary, name, "cross_same") for name in summary["systems"]) else "all"


def difference(summary: Summary, system: str, condition: str) -> dict[str, Any] | None:
    """EER of a system minus the baseline's, paired by seed, with its interval; None where one is missing."""
    ours, theirs = rate(summary, system, condition), rate(summary, BASELINE, condition)
    if ours is None or theirs is None:
        return None
    first, second = (
        dict(zip(summary["systems"][name]["seeds"], found["values"], strict=True))
        for name, found in ((system, ours), (BASELINE, theirs))
    )
    paired = [first[seed] - second[seed] for seed in first if seed in second]
    return interval(paired) if paired else None


def verdict(found: dict[str, Any] | None) -> str:
    """What a difference shows: `lower`, `higher`, `unclear` (interval around 0), `unknown` (no interval)."""
    if found is None or found["low"] is None:
        return "unknown"
    if found["high"] < 0:
        return "lower"
    return "higher" if found["low"] > 0 else "unclear"


def _over_seeds(values: list[Any]) -> Any:
    """Merge one place of several results: numbers to intervals, what else agrees as it is."""
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in value for value in values)]
        return {key: _over_seeds([value[key] for value in values]) for key in keys}
    if any(value is None for value in values):
        return None
    if not isinstance(first, float) and all(value == first for value in values):
        return first
    if isinstance(first, int | float):
        return interval([float(value) for value in values])
    return values
