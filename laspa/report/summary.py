"""The systems that `dvc repro` compared, in one place (reports/summary.json), and what that shows.

The functions that look something up also read what laspa/report/seeds.py merged: the ablation.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from laspa.evaluation.comparison import compare_parts
from laspa.evaluation.evaluate import condition_masks, with_both_classes
from laspa.evaluation.metadata import manifest_metadata
from laspa.evaluation.score_files import read_scores, scores_of
from laspa.files import read_json
from laspa.params import Evaluate
from laspa.report.seeds import interval

BASELINE, LASPA, PLUS = "baseline", "laspa", "laspa_plus"
MAIN_CONDITIONS = ("cross_same", "same_same", "all")  # in tables without room for all
# Parts of a system's results that hold rates by condition; not every system has all of them.
CONDITIONS_OF, OTHER = "conditions", "other"
PAIR_NORM = "pair_norm"
SCORES = {"": "scores.parquet", OTHER: "scores_other.parquet"}  # of the evaluation, by part

Summary = dict[str, Any]


def read_summary(
    data: Path, default: str, names: list[str], manifest: pd.DataFrame, draws: Evaluate
) -> Summary:
    """What reports/summary.json holds, from data/evaluation and data/history.

    Returns:
        `default`, the name of the system that the pipeline's model is of, and `systems.NAME`: what the
        stage evaluate measured of it, `epochs`, `best_epoch`, `seeds`, and but for the baseline
        `difference`: its EERs minus the baseline's, with intervals over the same resamples of the speakers.
    """
    systems = {}
    for name in names:
        history = read_json(data / "history" / f"{name}.json")
        budget = {"seeds": [history["seed"]], **{key: history[key] for key in ("epochs", "best_epoch")}}
        systems[name] = read_json(data / "evaluation" / name / "metrics.json") | budget
        if name != BASELINE and BASELINE in names:
            baseline, system = (data / "evaluation" / one for one in (BASELINE, name))
            systems[name]["difference"] = differences(baseline, system, manifest, draws)
    return {"default": default, "systems": systems}


def differences(baseline: Path, system: Path, manifest: pd.DataFrame, draws: Evaluate) -> dict[str, Any]:
    """EERs of `system` minus those of `baseline`, two folders of the stage evaluate, paired by trial.

    Returns:
        `conditions.CONDITION.{eer, eer_low, eer_high, p_value}`, and the same under `other`, where both
        folders have scores of another corpus.
    """
    found: dict[str, Any] = {}
    for part, file in SCORES.items():
        if not ((baseline / file).exists() and (system / file).exists()):
            continue
        trials, first = read_scores(baseline / file)
        second = scores_of(trials, *read_scores(system / file))
        metadata, target = manifest_metadata(trials, manifest), trials.labels()
        speakers = metadata.speakers(trials)
        assert speakers is not None  # a manifest has them
        masks = with_both_classes(condition_masks(trials, metadata), target)
        compared = compare_parts(first, second, target, speakers, masks, draws.bootstrap, draws.seed)
        rates = {
            name: {"eer": one.difference, "eer_low": one.low, "eer_high": one.high, "p_value": one.p_value}
            for name, one in compared.items()
        }
        found |= {part: {CONDITIONS_OF: rates}} if part else {CONDITIONS_OF: rates}
    return found


def headliners(summary: Summary) -> list[str]:
    """The systems of the comparison: the baseline first, the default last."""
    last = {BASELINE: 0, LASPA: 1, summary.get("default"): 3}
    return sorted(summary["systems"], key=lambda name: (last.get(name, 2), name))


def rate(
    summary: Summary, system: str, condition: str, metric: str = "eer", part: str = ""
) -> dict[str, Any] | None:
    """A system's rate as `{mean, low, high}`, or None where the summary has none.

    Args:
        part: of the system's results, by dotted name: `other`, `pair_norm`; empty for the test split.
    """
    rates = _conditions(summary["systems"].get(system, {}), part).get(condition, {})
    value = rates.get(metric)
    if value is None or isinstance(value, dict):
        return value
    return {"mean": value, "low": rates.get(f"{metric}_low"), "high": rates.get(f"{metric}_high")}


def difference(summary: Summary, system: str, condition: str, part: str = "") -> dict[str, Any] | None:
    """EER of a system minus the baseline's, with its interval; None where one is missing.

    The interval is over speakers where the summary has it, else over seeds, by which it is then paired.
    """
    found = summary["systems"].get(system, {})
    if "difference" in found:
        rates = _conditions(found["difference"], part).get(condition)
        return rates and {"mean": rates["eer"], "low": rates["eer_low"], "high": rates["eer_high"]}
    ours, theirs = rate(summary, system, condition, part=part), rate(summary, BASELINE, condition, part=part)
    if ours is None or theirs is None or "values" not in ours:
        return None
    first, second = (
        dict(zip(summary["systems"][name]["seeds"], one["values"], strict=True))
        for name, one in ((system, ours), (BASELINE, theirs))
    )
    paired = [first[seed] - second[seed] for seed in first if seed in second]
    return interval(paired) if paired else None


def relative(summary: Summary, system: str, condition: str, part: str = "") -> float | None:
    """Change of the EER as a share of the baseline's; None where one is missing or the baseline's is 0."""
    ours, theirs = rate(summary, system, condition, part=part), rate(summary, BASELINE, condition, part=part)
    if ours is None or theirs is None or theirs["mean"] == 0 or system == BASELINE:
        return None
    return float(ours["mean"] / theirs["mean"] - 1)


def main_condition(summary: Summary) -> str:
    """The condition by which systems are compared: cross / same where the corpus has it."""
    return "cross_same" if any(rate(summary, name, "cross_same") for name in summary["systems"]) else "all"


def verdict(found: dict[str, Any] | None) -> str:
    """What a difference shows: `lower`, `higher`, `unclear` (interval around 0), `unknown` (no interval)."""
    if found is None or found["low"] is None:
        return "unknown"
    if found["high"] < 0:
        return "lower"
    return "higher" if found["low"] > 0 else "unclear"


def _conditions(found: dict[str, Any], part: str) -> dict[str, Any]:
    for key in filter(None, part.split(".")):
        found = found.get(key) or {}
    return found.get(CONDITIONS_OF) or {}
