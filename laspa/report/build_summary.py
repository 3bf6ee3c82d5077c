"""reports/summary.json: the systems that `dvc repro` trained, each beside the baseline."""

from pathlib import Path
from typing import Any

import pandas as pd

from laspa.evaluation.comparison import compare_parts
from laspa.evaluation.evaluate import condition_masks, with_both_classes
from laspa.evaluation.metadata import manifest_metadata
from laspa.evaluation.score_files import read_scores, scores_of
from laspa.files import read_json
from laspa.params import Evaluate
from laspa.report.summary import BASELINE, Summary
from laspa.trials.splits import OTHER

SCORES = {"": "scores.parquet", OTHER: "scores_other.parquet"}  # of the stage evaluate, by part


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
        found |= {part: {"conditions": rates}} if part else {"conditions": rates}
    return found
