"""Calibration and thresholds fitted on dev, and the error rates that they have on test."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration, fit_calibration, thresholds
from laspa.evaluation.embedding import embed
from laspa.evaluation.error_rates import cllr, eer
from laspa.evaluation.evaluate import with_both_classes
from laspa.evaluation.intervals import percentile_interval, resampled_acceptance
from laspa.evaluation.metadata import Metadata, manifest_metadata
from laspa.evaluation.split import Split, embedding_rows, score_trials
from laspa.models.laspa import Laspa
from laspa.recogniser.decision import ANY, DIFFERENT, SAME, pair_heard
from laspa.trials.lists import TrialList

FEWEST = 100  # targets, and non-targets, from which on a pair of languages gets its own fit (our choice)


@dataclass
class Scored:
    """The trials of a split with their scores, (trials,), and what the model hears in each pair, (trials,)
    of ANY, SAME and DIFFERENT."""

    name: str
    trials: TrialList
    scores: np.ndarray
    heard: np.ndarray
    metadata: Metadata


def score_split(model: Laspa, split: Split, device: torch.device) -> Scored:
    """Score a split's trials, and hear their languages."""
    ids = split.features.utterance_ids
    found = embed(model.to(device), split.features, ids, device)
    scores = score_trials(split.trials, split.name, ids, found.speaker)
    heard = np.full(len(scores), ANY, dtype="<U9")
    if found.language_index is not None and found.language_posterior is not None:
        one, other = embedding_rows(split.trials, split.name, ids)
        index, posterior = found.language_index, found.language_posterior
        heard = pair_heard(index[one] == index[other], np.minimum(posterior[one], posterior[other]))
    return Scored(split.name, split.trials, scores, heard, manifest_metadata(split.trials, split.manifest))


def fit_thresholds(dev: Scored) -> dict[str, dict[str, Any]]:
    """Slope, offset and thresholds by the languages heard, from dev alone.

    ANY is fitted on all trials. SAME and DIFFERENT are left out where dev has fewer than FEWEST targets or
    non-targets of them, or where their classes do not overlap.

    Raises:
        LaspaError: no calibration can be fitted on all trials.
    """
    target = dev.trials.labels()
    found = {ANY: _fitted(dev.scores[target], dev.scores[~target])}
    for name in (SAME, DIFFERENT):
        classes = [dev.scores[(dev.heard == name) & kind] for kind in (target, ~target)]
        if min(map(len, classes)) < FEWEST:
            continue
        try:
            found[name] = _fitted(*classes)
        except LaspaError:
            continue
    return found


def _fitted(target: np.ndarray, nontarget: np.ndarray) -> dict[str, Any]:
    calibration = fit_calibration(target, nontarget)
    return {
        "slope": float(calibration.slope),
        "offset": float(calibration.offset),
        "thresholds": thresholds(target, nontarget),
        "dev_targets": len(target),
        "dev_nontargets": len(nontarget),
    }


def measure_thresholds(
    test: Scored, fits: dict[str, dict[str, Any]], resamples: int, seed: int
) -> dict[str, Any]:
    """What the thresholds do on other speakers: rates as fractions of 1, with intervals over speakers.

    Returns:
        error_rates: by threshold and part of the list: trials, targets, far, frr, their `_low` and `_high`.
            Parts are all trials, those within a language and across (as labelled), and those heard as each.
        ratios: EER and Cllr (in bits) of the log likelihood ratios by part, with the calibrations
            `by_languages` heard, and with one `pooled` for all.
    """
    target = test.trials.labels()
    speakers = test.metadata.speakers(test.trials)
    parts = _test_parts(test, fits)
    rates: dict[str, Any] = {}
    for name in fits[ANY]["thresholds"]:
        limit = np.empty(len(test.scores))
        for heard, mask in _parts(test.heard, fits).items():
            limit[mask] = fits[heard]["thresholds"][name]
        accepted = test.scores > limit
        drawn = {}
        if speakers is not None and resamples:
            drawn = resampled_acceptance(accepted, target, speakers, parts, resamples, seed)
        rates[name] = {
            part: {
                "trials": int(mask.sum()),
                "targets": int((mask & target).sum()),
                "far": float(accepted[mask & ~target].mean()),
                "frr": float(1 - accepted[mask & target].mean()),
            }
            | _intervals(drawn.get(part))
            for part, mask in parts.items()
        }
    kinds = {"by_languages": fits, "pooled": {ANY: fits[ANY]}}
    return {
        "error_rates": rates,
        "ratios": {kind: _of_ratios(test, parts, some) for kind, some in kinds.items()},
    }


def _of_ratios(
    test: Scored, parts: dict[str, np.ndarray], fits: dict[str, dict[str, Any]]
) -> dict[str, dict[str, float]]:
    """EER and Cllr by part of log likelihood ratios, each by the calibration of what is heard in its pair."""
    target, ratios = test.trials.labels(), np.empty(len(test.scores))
    for name, mask in _parts(test.heard, fits).items():
        ratios[mask] = Calibration(fits[name]["slope"], fits[name]["offset"])(test.scores[mask])
    found = {}
    for part, mask in parts.items():
        classes = ratios[mask & target], ratios[mask & ~target]
        found[part] = {"eer": eer(*classes), "cllr": cllr(*classes)}
    return found


def _intervals(drawn: tuple[np.ndarray, np.ndarray] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for rate, values in zip(("far", "frr"), drawn or (), strict=False):
        found[f"{rate}_low"], found[f"{rate}_high"] = percentile_interval(values)
    return found


def _parts(heard: np.ndarray, fits: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    """Which trials each fit decides: (trials,) boolean each, every trial once."""
    decides = np.where(np.isin(heard, [*fits]), heard, ANY)
    return {name: decides == name for name in (ANY, SAME, DIFFERENT) if name in fits}


def _test_parts(test: Scored, fits: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    """The parts that are measured, those with targets and non-targets."""
    target, same = test.trials.labels(), test.trials.relations.get("same_language")
    parts = {"all": np.ones(len(target), dtype=bool)}
    if same is not None:
        parts |= {"within a language": same, "across languages": ~same}
    parts |= {f"heard: {name}": mask for name, mask in _parts(test.heard, fits).items()}
    return with_both_classes(parts, target)
