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
EERS = {name: ("conditions", name, "eer") for name in MAIN_CONDITIONS}
EERS[UNSEEN] = ("unseen", "cross_same", "eer")


@dataclass
class Measured:
    """One system: its results by seed, and its test scores, (trials, seeds)."""

    results: list[dict[str, Any]]
    scores: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Measured":
        """What `pipelines.studies.run` wrote."""
        scores = pd.read_parquet(folder / "scores.parquet")
        return cls([read_json(folder / f"{name}.json") for name in scores], scores.to_numpy(dtype=float))

    def over_seeds(self, *path: str) -> dict[str, Any]:
        """Mean and t-interval over seeds of what stands at `path` in each result."""
        values: list[Any] = self.results
        for key in path:
            values = [value[key] for value in values]
        return interval([float(value) for value in values])


def study_summary(
    measured: dict[str, Measured], trials: TrialList, manifest: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """All numbers of the page.

    Returns:
        `systems.NAME`: `eer.CONDITION` and `language_probe`, mean and t-interval over seeds, and
        against the baseline `difference.CONDITION`, mean over seeds and interval over paired
        resamples of the speakers, `relative`, and `of_gap`, the share of the way to the ceiling.
    """
    metadata = manifest_metadata(trials, manifest)
    drawn = {name: _resampled(system, trials, metadata, seed) for name, system in measured.items()}
    systems: dict[str, dict[str, Any]] = {
        name: {
            "eer": {key: system.over_seeds(*path) for key, path in EERS.items()},
            "language_probe": system.over_seeds("language_probe_accuracy"),
        }
        for name, system in measured.items()
    }
    base = systems[BASELINE]["eer"]
    gap = systems[CEILING]["eer"]["cross_same"]["mean"] - base["cross_same"]["mean"]
    for name in systems.keys() - {BASELINE}:
        differences = {}
        for key, found in systems[name]["eer"].items():
            low, high = percentile_interval(drawn[name][key] - drawn[BASELINE][key])
            differences[key] = {"mean": found["mean"] - base[key]["mean"], "low": low, "high": high}
        gain = differences["cross_same"]["mean"]
        systems[name]["difference"] = differences
        systems[name] |= {"relative": gain / base["cross_same"]["mean"], "of_gap": gain / gap}
    return {
        "systems": systems,
        "seeds": len(measured[BASELINE].results),
        "epochs": measured[BASELINE].results[0]["epochs"],
        "chance": measured[BASELINE].over_seeds("language_probe_chance"),
        "resamples": RESAMPLES,
        "trial_list": list_info(trials, "test", metadata),
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


def _resampled(system: Measured, trials: TrialList, metadata: Metadata, seed: int) -> dict[str, np.ndarray]:
    """EERs of each resample of the speakers, averaged over seeds: (resamples,) per condition."""
    masks, speakers = condition_masks(trials, metadata), metadata.speakers(trials)
    assert speakers is not None
    subsets = {name: masks[name] for name in MAIN_CONDITIONS}
    subsets[UNSEEN] = masks["cross_same"] & trials.relations["unseen_language"]
    by_seed = [
        resampled_rates(scores, trials.labels(), speakers, subsets, RESAMPLES, seed)
        for scores in system.scores.T
    ]
    return {name: np.mean([one[name]["eer"] for one in by_seed], axis=0) for name in subsets}
