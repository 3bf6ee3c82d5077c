"""docs/results.md: the systems on the full budget, with intervals over speakers and over seeds."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from laspa.evaluation.evaluate import condition_masks, list_info
from laspa.evaluation.intervals import percentile_interval, resampled_rates
from laspa.evaluation.metadata import Metadata, manifest_metadata
from laspa.files import read_json
from laspa.report.html import environment
from laspa.report.seeds import over_seeds
from laspa.report.summary import BASELINE, MAIN_CONDITIONS
from laspa.report.text import change_text, interval_text, percent, points_text
from laspa.trials.lists import TrialList
from laspa.trials.splits import OTHER

RESAMPLES = 500  # of the speakers, the same for all systems
CEILING = "ceiling"
UNSEEN = "unseen_cross_same"
DESCRIPTIONS = {
    "baseline": "the speaker encoder with AAM-softmax alone",
    "grl": "a language adversary behind a gradient reversal",
    "grl_mapc": "the adversary, a language encoder and MAPC",
    "laspa": "as published, with what the paper leaves open chosen on dev",
    "laspa_plus": "mel axes warped and bent in training, the language's mean taken away",
    "ceiling": "the baseline, trained on a corpus whose speakers all speak two languages",
}


class Measured(NamedTuple):
    """One system: its results, merged by `over_seeds`, and its scores by trial list, (trials, seeds)."""

    results: dict[str, Any]
    scores: dict[str, np.ndarray]


def read_measured(folder: Path) -> Measured:
    """What `pipelines.studies.run` wrote."""
    files = {path.stem.removeprefix("scores_"): path for path in folder.glob("scores_*.parquet")}
    tables = {name: pd.read_parquet(path) for name, path in files.items()}
    seeds = [read_json(folder / f"{seed}.json") for seed in next(iter(tables.values()))]
    scores = {name: table.to_numpy(dtype=float) for name, table in tables.items()}
    return Measured(over_seeds({"": seeds})["systems"][""], scores)


def _rates(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The EERs of the tables, over seeds, without pair norm and with it; none where there are no rates."""
    return {"eer": _eers(found), "pair_norm": _eers(found.get("pair_norm", {}))}


def _eers(rates: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not (conditions := rates.get("conditions")):
        return {}
    found = {name: conditions[name]["eer"] for name in MAIN_CONDITIONS}
    return found | ({UNSEEN: rates["unseen"]["cross_same"]["eer"]} if "unseen" in rates else {})


def study_summary(
    measured: dict[str, Measured], lists: dict[str, TrialList], manifest: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """All numbers of the page.

    Args:
        lists: `test`, and `other` where there are other voices.

    Returns:
        `systems.NAME`: `eer.CONDITION`, `pair_norm.CONDITION` and `language_probe`, mean and t-interval over
        seeds, and against the baseline `difference.CONDITION`, mean over seeds and interval over paired
        resamples of the speakers, `relative`, and `of_gap`, the share of the way to the ceiling;
        `systems.NAME.other` has the first two and the difference on other voices.
    """
    systems: dict[str, dict[str, Any]] = {
        name: _rates(one.results) | {"language_probe": one.results["language_probe_accuracy"]}
        for name, one in measured.items()
    }
    for name, found in _differences(measured, "test", lists["test"], manifest, seed, systems).items():
        systems[name]["difference"] = found
    if OTHER in lists:
        away = {name: _rates(one.results.get(OTHER, {})) for name, one in measured.items()}
        for name, found in _differences(measured, OTHER, lists[OTHER], manifest, seed, away).items():
            away[name]["difference"] = found
        for name, rates in away.items():
            if rates["eer"]:
                systems[name][OTHER] = rates
    base = systems[BASELINE]["eer"]["cross_same"]["mean"]
    gap = systems[CEILING]["eer"]["cross_same"]["mean"] - base
    for name in systems.keys() - {BASELINE}:
        gain = systems[name]["difference"]["cross_same"]["mean"]
        systems[name] |= {"relative": gain / base, "of_gap": gain / gap}
    about = {
        f"{'' if name == 'test' else name + '_'}trial_list": list_info(
            trials, name, manifest_metadata(trials, manifest)
        )
        for name, trials in lists.items()
    }
    baseline = measured[BASELINE].results
    return {
        "systems": systems,
        "seeds": len(baseline["seeds"]),
        "epochs": baseline["epochs"],
        "chance": baseline["language_probe_chance"],
        "resamples": RESAMPLES,
        **about,
    }


def choices_summary(measured: dict[str, Measured], changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What was measured on dev to choose by: `choices.NAME`, with its EERs over seeds and its changes."""
    return {
        "choices": {
            name: {
                "changes": changes[name],
                "eer": {key: one.results["conditions"][key]["eer"] for key in ("cross_same", "same_same")},
                "language_probe": one.results["language_probe_accuracy"],
            }
            for name, one in measured.items()
        },
        "choice_epochs": next(iter(measured.values())).results["epochs"],
    }


def results_page(summary: dict[str, Any], people: str) -> str:
    """The numbers as Markdown, the systems in the order of DESCRIPTIONS; `people`: a table of real speech."""
    order = list(DESCRIPTIONS)
    names = sorted(summary["systems"], key=lambda name: (order.index(name) if name in order else -1, name))
    summary = summary | {"systems": {name: summary["systems"][name] for name in names}}
    filters = {"eer": interval_text, "points": points_text, "percent": percent, "change": change_text}
    template = environment("laspa.report", **filters).get_template("results.md")
    return template.render(**summary, people=people, descriptions=DESCRIPTIONS, base=BASELINE)


def _differences(
    measured: dict[str, Measured],
    name: str,
    trials: TrialList,
    manifest: pd.DataFrame,
    seed: int,
    rates: dict[str, dict[str, Any]],
) -> dict[str, dict[str, dict[str, float]]]:
    """By system and condition of a trial list, the difference to the baseline: its mean over seeds, and the
    interval over resamples of the speakers. rates: of each system, as `_rates` has them."""
    metadata = manifest_metadata(trials, manifest)
    drawn = {
        system: _resampled(one.scores[name], trials, metadata, seed, UNSEEN in rates[system]["eer"])
        for system, one in measured.items()
        if name in one.scores
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for system in drawn.keys() - {BASELINE}:
        found[system] = {}
        for key, rate in rates[system]["eer"].items():
            low, high = percentile_interval(drawn[system][key] - drawn[BASELINE][key])
            mean = rate["mean"] - rates[BASELINE]["eer"][key]["mean"]
            found[system][key] = {"mean": mean, "low": low, "high": high}
    return found


def _resampled(
    scores: np.ndarray, trials: TrialList, metadata: Metadata, seed: int, unseen: bool
) -> dict[str, np.ndarray]:
    """EERs of each resample of the speakers, averaged over seeds: (resamples,) per condition."""
    masks, speakers = condition_masks(trials, metadata), metadata.speakers(trials)
    assert speakers is not None
    subsets = {name: masks[name] for name in MAIN_CONDITIONS}
    if unseen:
        subsets[UNSEEN] = masks["cross_same"] & trials.relations["unseen_language"]
    by_seed = [resampled_rates(one, trials.labels(), speakers, subsets, RESAMPLES, seed) for one in scores.T]
    return {name: np.mean([one[name]["eer"] for one in by_seed], axis=0) for name in subsets}
