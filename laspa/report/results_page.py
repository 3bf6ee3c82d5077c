"""docs/results.md: the systems on the full budget, with intervals over speakers and over seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.evaluation.evaluate import condition_masks, list_info
from laspa.evaluation.intervals import percentile_interval, resampled_rates
from laspa.evaluation.metadata import Metadata, manifest_metadata
from laspa.files import read_json
from laspa.report.html import environment
from laspa.report.seeds import interval
from laspa.report.summary import BASELINE, MAIN_CONDITIONS
from laspa.report.text import interval_text, percent, points_text
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


# Each EER of a system's tables, and where its results hold it.
Paths = dict[str, tuple[str, ...]]
EERS: Paths = {name: ("conditions", name, "eer") for name in MAIN_CONDITIONS}
EERS[UNSEEN] = ("unseen", "cross_same", "eer")
MAIN_EERS = {name: EERS[name] for name in MAIN_CONDITIONS}
PAIR_NORM = "pair_norm"


@dataclass
class Measured:
    """One system: its results by seed, and its scores by trial list, (trials, seeds)."""

    results: list[dict[str, Any]]
    scores: dict[str, np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> "Measured":
        """What `pipelines.studies.run` wrote."""
        tables = {
            path.stem.removeprefix("scores_"): pd.read_parquet(path)
            for path in folder.glob("scores_*.parquet")
        }
        seeds = next(iter(tables.values())).columns
        results = [read_json(folder / f"{seed}.json") for seed in seeds]
        return cls(results, {name: table.to_numpy(dtype=float) for name, table in tables.items()})

    def over_seeds(self, *path: str) -> dict[str, Any]:
        """Mean and t-interval over seeds of what stands at `path` in each result."""
        values: list[Any] = self.results
        for key in path:
            values = [value[key] for value in values]
        return interval([float(value) for value in values])

    def eers(self, paths: Paths, *place: str) -> dict[str, dict[str, Any]]:
        """`over_seeds` of each path under `place`; of none where a seed has no rates there."""
        known: list[Any] = self.results
        for key in (*place, "conditions"):
            known = [one.get(key, {}) for one in known]
        if not all(known):
            return {}
        return {name: self.over_seeds(*place, *path) for name, path in paths.items()}


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
        name: {
            "eer": system.eers(EERS),
            "pair_norm": system.eers(MAIN_EERS, PAIR_NORM),
            "language_probe": system.over_seeds("language_probe_accuracy"),
        }
        for name, system in measured.items()
    }
    for name, found in _differences(measured, "test", lists["test"], manifest, seed, EERS).items():
        systems[name]["difference"] = found
    if OTHER in lists:
        changes = _differences(measured, OTHER, lists[OTHER], manifest, seed, MAIN_EERS, OTHER)
        for name, system in measured.items():
            if rates := system.eers(MAIN_EERS, OTHER):
                normed = system.eers(MAIN_EERS, OTHER, PAIR_NORM)
                systems[name][OTHER] = {"eer": rates, "pair_norm": normed}
                systems[name][OTHER] |= {"difference": changes[name]} if name in changes else {}
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
    return {
        "systems": systems,
        "seeds": len(measured[BASELINE].results),
        "epochs": measured[BASELINE].results[0]["epochs"],
        "chance": measured[BASELINE].over_seeds("language_probe_chance"),
        "resamples": RESAMPLES,
        **about,
    }


def choices_summary(measured: dict[str, Measured], changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What was measured on dev to choose by: `choices.NAME`, with its EERs over seeds and its changes."""
    return {
        "choices": {
            name: {
                "changes": changes[name],
                "eer": {key: system.over_seeds(*EERS[key]) for key in ("cross_same", "same_same")},
                "language_probe": system.over_seeds("language_probe_accuracy"),
            }
            for name, system in measured.items()
        },
        "choice_epochs": next(iter(measured.values())).results[0]["epochs"],
    }


def results_page(summary: dict[str, Any]) -> str:
    """The numbers as Markdown, the systems in the order of DESCRIPTIONS."""
    order = list(DESCRIPTIONS)
    names = sorted(summary["systems"], key=lambda name: (order.index(name) if name in order else -1, name))
    summary = summary | {"systems": {name: summary["systems"][name] for name in names}}
    filters = {"eer": interval_text, "points": points_text, "percent": percent}
    template = environment("laspa.report", **filters).get_template("results.md")
    return template.render(**summary, descriptions=DESCRIPTIONS, base=BASELINE)


def _differences(
    measured: dict[str, Measured],
    name: str,
    trials: TrialList,
    manifest: pd.DataFrame,
    seed: int,
    paths: Paths,
    *place: str,
) -> dict[str, dict[str, dict[str, float]]]:
    """By system and condition of a trial list, the difference to the baseline: its mean over seeds, and the
    interval over resamples of the speakers."""
    metadata = manifest_metadata(trials, manifest)
    scored = {system: one for system, one in measured.items() if name in one.scores}
    drawn = {
        system: _resampled(one.scores[name], trials, metadata, seed, UNSEEN in paths)
        for system, one in scored.items()
    }
    means = {system: one.eers(paths, *place) for system, one in scored.items()}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for system in scored.keys() - {BASELINE}:
        found[system] = {}
        for key, rate in means[system].items():
            low, high = percentile_interval(drawn[system][key] - drawn[BASELINE][key])
            mean = rate["mean"] - means[BASELINE][key]["mean"]
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
