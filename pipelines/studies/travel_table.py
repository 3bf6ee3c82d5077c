"""What pipelines.studies.travel measured: studies/travel.json, and Markdown on standard output."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.evaluation.error_rates import eer
from laspa.evaluation.evaluate import with_both_classes
from laspa.evaluation.intervals import percentile_interval, resampled_rates
from laspa.files import write_json
from laspa.params import load_params
from laspa.trials.conditions import CONDITIONS
from pipelines import stage

SYSTEMS, TABLE = Path("studies/travel/systems"), Path("studies/travel.json")
BASELINE, SCORINGS = "baseline", ("cosine", "pair norm")
SHOWN = ("same_same", "cross_same", "cross_cross", "all")
RESAMPLES = 200  # of the speakers, the same for all systems
MONOLINGUAL = "one language"  # the mean over the folders that have no second language


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    found = {name: _system(SYSTEMS / name, params.evaluate.seed) for name in params.travel.systems}
    table = {
        name: {
            key: {
                condition: _row(values, found[BASELINE].get((key[0], "cosine"), {}).get(condition))
                for condition, values in conditions.items()
            }
            for key, conditions in sets.items()
        }
        for name, sets in found.items()
    }
    written = {name: {", ".join(key): rows for key, rows in sets.items()} for name, sets in table.items()}
    seeds = len(next(iter(found[BASELINE].values()))["same_same"][0])
    budget = {"seeds": params.travel.seeds[:seeds], "epochs": params.travel.epochs, "resamples": RESAMPLES}
    write_json(TABLE, budget | {"systems": written})
    print(markdown(written))


def _system(folder: Path, seed: int) -> dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """By set and scoring, of each condition: EERs (seeds,), and over resamples their mean over seeds."""
    found: dict[Any, Any] = {}
    monolingual = []
    for path in sorted(folder.glob("*.parquet")):
        table = pd.read_parquet(path)
        target, same = table["target"].to_numpy(), table["same_language"].to_numpy(dtype=bool)
        masks = {name: CONDITIONS[name].mask(target, same) for name in SHOWN}
        parts = with_both_classes(masks, target)
        sides = table["enroll"].to_numpy(dtype=str), table["test"].to_numpy(dtype=str)
        for scoring in SCORINGS:
            columns = [table[name].to_numpy() for name in table if name.startswith(f"{scoring}, ")]
            if not columns:
                continue
            drawn = [resampled_rates(one, target, sides, parts, RESAMPLES, seed) for one in columns]
            found[path.stem, scoring] = {
                name: (
                    np.array([eer(one[part & target], one[part & ~target]) for one in columns]),
                    np.mean([one[name]["eer"] for one in drawn], axis=0),
                )
                for name, part in parts.items()
            }
        if same.all():
            monolingual.append(found.pop((path.stem, "cosine"))["same_same"])
    if monolingual:
        means = tuple(np.mean([one[place] for one in monolingual], axis=0) for place in (0, 1))
        found[MONOLINGUAL, "cosine"] = {"same_same": means}
    return found


def _row(values: tuple[np.ndarray, np.ndarray], base: tuple[np.ndarray, np.ndarray] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"mean": float(values[0].mean()), "values": values[0].tolist()}
    if base is not None:
        low, high = percentile_interval(values[1] - base[1])
        row["difference"] = {"mean": float(values[0].mean() - base[0].mean()), "low": low, "high": high}
    return row


def markdown(systems: dict[str, Any]) -> str:
    """A row for each set, scoring and system: EER in per cent, and the difference of `all`."""
    lines = [
        "| set | scoring | system | " + " | ".join(SHOWN) + " | against the baseline |",
        "|---" * 8 + "|",
    ]
    for key in dict.fromkeys(key for sets in systems.values() for key in sets):
        for name, sets in systems.items():
            rates = sets[key]
            last = rates.get("all", rates["same_same"])["difference"]
            cells = [f"{100 * rates[one]['mean']:.1f}" if one in rates else "–" for one in SHOWN]
            change = " to ".join(f"{100 * last[end]:+.1f}" for end in ("low", "high"))
            where = " | ".join(key.split(", "))
            lines.append(
                f"| {where} | `{name}` | {' | '.join(cells)} | {100 * last['mean']:+.1f} ({change}) |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
