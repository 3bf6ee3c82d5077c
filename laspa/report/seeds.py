"""Results of several seeds: read from files, and merged to means with 95 % intervals over seeds."""

import math
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from scipy.stats import t

from laspa.errors import LaspaError
from laspa.files import read_json

CONFIDENCE = 0.95
LEFT_OUT = ("seed", "system", "history")  # what belongs to one seed alone


def read_seeds(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results by system, each in the order of its seeds, from `folder/SYSTEM/seed-N.json`.

    Raises:
        LaspaError: no results, or a file that is not one.
    """
    systems: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/seed-*.json")):
        result = read_json(path)
        if not isinstance(result, dict) or "seed" not in result or "conditions" not in result:
            raise LaspaError(f"{path}: no result of a seed: it should have the keys seed and conditions")
        systems.setdefault(path.parent.name, []).append(result)
    if not systems:
        raise LaspaError(f"{folder}: no SYSTEM/seed-N.json; make ablation writes them")
    return {name: sorted(results, key=lambda one: int(one["seed"])) for name, results in systems.items()}


def over_seeds(seeds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """`systems.NAME`: each system's results with `{mean, low, high, values}` for numbers, and its `seeds`."""
    systems = {}
    for name, results in seeds.items():
        kept = [{key: value for key, value in result.items() if key not in LEFT_OUT} for result in results]
        systems[name] = {**_merged(kept), "seeds": [result["seed"] for result in results]}
    return {"systems": systems}


def interval(values: list[float]) -> dict[str, Any]:
    """Mean and t-interval of few values: mean ± t(0.975, n − 1) · s / √n. One value has no interval."""
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return {"mean": mean, "low": None, "high": None, "values": values}
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / math.sqrt(count)
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": values}


def paired(ours: dict[str, Any], theirs: dict[str, Any], *path: str) -> dict[str, Any] | None:
    """The mean difference of what stands at `path`, with its t-interval over seeds, paired by seed."""
    by_seed = []
    for system in (ours, theirs):
        found = reduce(getitem, path, system)
        by_seed.append(dict(zip(system["seeds"], found["values"], strict=True)))
    both = [by_seed[0][seed] - by_seed[1][seed] for seed in by_seed[0] if seed in by_seed[1]]
    return interval(both) if both else None


def _merged(values: list[Any]) -> Any:
    """Merge one place of several results: numbers to intervals, what else agrees as it is."""
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in value for value in values)]
        return {key: _merged([value[key] for value in values]) for key in keys}
    if any(value is None for value in values):
        return None
    if not isinstance(first, float) and all(value == first for value in values):
        return first
    if isinstance(first, int | float):
        return interval([float(value) for value in values])
    return values
