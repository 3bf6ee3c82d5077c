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
BASELINE = "baseline"
SCORINGS = {"cosine": "cosine", "pair norm": "pair_norm"}  # columns, and keys of the JSON
SHOWN = ("same_same", "cross_same", "cross_cross", "all")
RESAMPLES = 200  # of the speakers, the same for all systems
MONOLINGUAL = "one_language"  # the mean over the folders that have no second language
PEOPLE = ("fdu_bilingual", MONOLINGUAL)  # the sets of real speech
Rates = tuple[np.ndarray, np.ndarray]  # EERs (seeds,), and over resamples their mean over seeds


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    found = {name: _system(SYSTEMS / name, params.evaluate.seed) for name in params.travel.systems}
    written: dict[str, Any] = {}
    for name, sets in found.items():
        for (place, scoring), conditions in sets.items():
            bases = found[BASELINE][place, "cosine"], found[BASELINE][place, scoring]
            written.setdefault(name, {}).setdefault(place, {})[scoring] = {
                condition: _row(values, *(base[condition] for base in bases))
                for condition, values in conditions.items()
            }
    seeds = len(next(iter(found[BASELINE].values()))["same_same"][0])
    budget = {"seeds": params.travel.seeds[:seeds], "epochs": params.travel.epochs, "resamples": RESAMPLES}
    write_json(TABLE, budget | {"systems": written})
    print(markdown(written))


def _system(folder: Path, seed: int) -> dict[tuple[str, str], dict[str, Rates]]:
    """By set and scoring, the EERs of each condition."""
    found: dict[Any, Any] = {}
    monolingual = []
    for path in sorted(folder.glob("*.parquet")):
        table = pd.read_parquet(path)
        target, same = table["target"].to_numpy(), table["same_language"].to_numpy(dtype=bool)
        masks = {name: CONDITIONS[name].mask(target, same) for name in SHOWN}
        parts = with_both_classes(masks, target)
        sides = table["enroll"].to_numpy(dtype=str), table["test"].to_numpy(dtype=str)
        for column, scoring in SCORINGS.items():
            columns = [table[name].to_numpy() for name in table if name.startswith(f"{column}, ")]
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


def _row(values: Rates, cosine: Rates, same: Rates) -> dict[str, Any]:
    """EERs, and differences to the baseline scored by cosine and to the baseline scored as this is."""
    row: dict[str, Any] = {"mean": float(values[0].mean()), "values": values[0].tolist()}
    for name, base in (("difference", cosine), ("difference_same_scoring", same)):
        low, high = percentile_interval(values[1] - base[1])
        row[name] = {"mean": float(values[0].mean() - base[0].mean()), "low": low, "high": high}
    return row


def people_markdown(systems: dict[str, Any]) -> str:
    """The rows of real speech."""
    return markdown(
        {name: {place: sets[place] for place in PEOPLE if place in sets} for name, sets in systems.items()}
    )


def markdown(systems: dict[str, Any]) -> str:
    """A row for each set, scoring and system: EER in per cent, and its change."""
    titles = ["set", "scoring", "system", *(CONDITIONS[name].label for name in SHOWN)]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for place, scorings in next(iter(systems.values())).items():
        for number, scoring in enumerate(scorings):
            for name, sets in systems.items():
                first = name == next(iter(systems))
                where = [place if first and not number else "", scoring.replace("_", " ") if first else ""]
                cells = [_cell(sets[place][scoring].get(condition)) for condition in SHOWN]
                lines.append(f"| {' | '.join([*where, f'`{name}`', *cells])} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    change = row["difference"]
    if change["low"] == change["high"]:  # the baseline itself
        return f"{100 * row['mean']:.1f}"
    low, high = (f"{100 * change[end]:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{100 * row['mean']:.1f} ({low} to {high})"


if __name__ == "__main__":
    stage.run(main)
