"""From a trial list and its scores to error rates: the one evaluation that stages and commands share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.evaluation.error_rates import RATES
from laspa.evaluation.intervals import Name, percentile_interval, resampled_rates
from laspa.evaluation.metadata import Metadata
from laspa.trials.conditions import CONDITIONS
from laspa.trials.lists import TrialList

GROUPINGS = ("condition", "language-pair", "gender", "seen")
PRIORS = {"min_dcf_01": 0.01, "min_dcf_05": 0.05}  # the costs of RATES that get intervals
METRICS = ("eer", "eer_low", "eer_high", *PRIORS, "trials", "targets")  # of each system's metrics.json

Rates = dict[str, Any]  # of one set of trials, by name; fractions of 1


def measure(
    trials: TrialList,
    scores: np.ndarray,
    metadata: Metadata,
    groups: Mapping[str, Mapping[str, np.ndarray]],
    calibration: Calibration | None,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Rates | None]]:
    """Every rate of each part of a list, with intervals over speakers; None for a part of one class.

    Args:
        scores: (trials,).
        groups: the parts by group and name, (trials,) boolean each.
        calibration: makes scores likelihood ratios; without it there are no actDCF and Cllr.
        resamples: of the speakers; 0 for no intervals, and there are none where speakers are not known.
    """
    target, speakers = trials.labels(), metadata.speakers(trials)
    parts = {(group, name): part for group, masks in groups.items() for name, part in masks.items()}
    both = with_both_classes(parts, target)
    drawn: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    if speakers is not None and resamples:
        drawn = resampled_rates(scores, target, speakers, both, resamples, seed, PRIORS)
    found: dict[str, dict[str, Rates | None]] = {
        group: dict.fromkeys(masks) for group, masks in groups.items()
    }
    for (group, name), part in both.items():
        rates = _rates(scores[part & target], scores[part & ~target], calibration)
        for rate, values in drawn.get((group, name), {}).items():
            rates[f"{rate}_low"], rates[f"{rate}_high"] = percentile_interval(values)
        found[group][name] = rates
    return found


def with_both_classes(parts: Mapping[Name, np.ndarray], target: np.ndarray) -> dict[Name, np.ndarray]:
    """The parts of a list that have targets and non-targets, as an error rate needs."""
    return {name: part for name, part in parts.items() if len(np.unique(target[part])) > 1}


def _rates(targets: np.ndarray, nontargets: np.ndarray, calibration: Calibration | None) -> Rates:
    rates: Rates = {"trials": len(targets) + len(nontargets), "targets": len(targets)}
    classes = np.sort(targets), np.sort(nontargets)  # once for all that follows
    ratios = (calibration(classes[0]), calibration(classes[1])) if calibration is not None else None
    for name, rate in RATES.items():
        if read := ratios if rate.calibrated else classes:
            rates[name] = rate.of(*read)
    return rates


def parts_of(kind: str, trials: TrialList, metadata: Metadata) -> dict[str, np.ndarray]:
    """Which trials belong to each part of a list, (trials,) boolean, by one of GROUPINGS or `all`.

    Raises:
        LaspaError: the list's languages or genders are not known.
    """
    if kind == "all":
        return {"all": np.ones(len(trials), dtype=bool)}
    if kind == "condition":
        return {name: mask for name, mask in condition_masks(trials, metadata).items() if name != "all"}
    if kind == "seen":
        unseen = _unseen(trials, metadata)
        return {"seen": ~unseen, "unseen": unseen}
    if kind not in GROUPINGS:
        raise LaspaError(f"--by {kind}: expected one of {', '.join(GROUPINGS)}")
    values = _known(metadata.language if kind == "language-pair" else metadata.gender, kind, trials)
    texts = ["?" if value is None else str(value) for value in values]
    names, code = np.unique(texts, return_inverse=True)
    low = np.minimum(code[trials.enroll], code[trials.test]).astype(np.int64)
    pair = low * len(names) + np.maximum(code[trials.enroll], code[trials.test])
    return {
        f"{names[number // len(names)]}-{names[number % len(names)]}": pair == number
        for number in np.unique(pair)
    }


def condition_masks(trials: TrialList, metadata: Metadata) -> dict[str, np.ndarray]:
    """Which trials belong to each of CONDITIONS, by name: (trials,) boolean."""
    same = trials.relations.get("same_language")
    if same is None:
        language = _known(metadata.language, "condition", trials).astype(str)
        same = language[trials.enroll] == language[trials.test]
    return {name: CONDITIONS[name].mask(trials.labels(), same) for name in sorted(CONDITIONS)}


def _unseen(trials: TrialList, metadata: Metadata) -> np.ndarray:
    """Trials with a language that is not heard in training."""
    if (unseen := trials.relations.get("unseen_language")) is not None:
        return unseen
    language = _known(metadata.language, "seen", trials)
    if not metadata.trained_languages:
        raise LaspaError(f"--by seen: needs --manifest with training languages for {trials.path}")
    new = ~np.isin(language.astype(str), sorted(metadata.trained_languages))
    return np.asarray(new[trials.enroll] | new[trials.test])


def _known(values: np.ndarray | None, kind: str, trials: TrialList) -> np.ndarray:
    if values is None:
        what = "genders" if kind == "gender" else "languages"
        raise LaspaError(f"--by {kind}: the {what} of {trials.path} are not known; name a --manifest")
    if kind != "gender" and (missing := sum(value is None for value in values)):
        raise LaspaError(f"--by {kind}: {missing} utterance(s) of {trials.path} have no language; fill it in")
    return values


def evaluate(
    trials: TrialList,
    scores: np.ndarray,
    metadata: Metadata,
    resamples: int,
    seed: int,
    calibration: Calibration | None = None,
    groupings: tuple[str, ...] = (),
) -> dict[str, dict[str, Rates | None]]:
    """Rates by CONDITIONS of the whole list (`conditions`), of languages heard in training (`seen`) and of
    those never heard (`unseen`), and of the parts of each of `groupings`."""
    masks, unseen = condition_masks(trials, metadata), _unseen(trials, metadata)
    groups = {
        "conditions": masks,
        "seen": {name: mask & ~unseen for name, mask in masks.items()},
        "unseen": {name: mask & unseen for name, mask in masks.items()},
    }
    groups |= {kind: parts_of(kind, trials, metadata) for kind in groupings}
    return measure(trials, scores, metadata, groups, calibration, resamples, seed)


def list_metrics(
    found: dict[str, dict[str, Rates | None]], trials: TrialList, name: str, metadata: Metadata
) -> dict[str, Any]:
    """What metrics.json says of a list: METRICS by condition, and which conditions are left out."""
    metrics: dict[str, Any] = {
        group: {
            condition: {key: rates[key] for key in METRICS}
            for condition, rates in found[group].items()
            if rates
        }
        for group in ("conditions", "seen", "unseen")
    }
    left_out = [condition for condition, rates in found["conditions"].items() if rates is None]
    metrics["omitted"] = {condition: _missing_class(trials, metadata, condition) for condition in left_out}
    return metrics | {"trial_list": list_info(trials, name, metadata)}


def _missing_class(trials: TrialList, metadata: Metadata, condition: str) -> str:
    target, chosen = trials.labels(), condition_masks(trials, metadata)[condition]
    kind = "non-target" if (chosen & target).any() else "target"
    same = CONDITIONS[condition].target_same if kind == "target" else CONDITIONS[condition].nontarget_same
    return f"no {kind} trials {'within a language' if same else 'across languages'}"


def list_info(trials: TrialList, name: str, metadata: Metadata) -> dict[str, Any]:
    """Which list it is: name, SHA-256 of its lines, number of trials and of speakers (None: not known)."""
    sides = metadata.speakers(trials)
    speakers = None if sides is None else len(np.unique(np.concatenate(sides)))
    return {"name": name, "sha256": trials.sha256(), "trials": len(trials), "speakers": speakers}
