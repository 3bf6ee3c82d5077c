"""One evaluation: the four language conditions, seen and unseen languages, intervals, the probe."""

from typing import Any

import numpy as np
import pandas as pd

from laspa.errors import LaspaError
from laspa.evaluation.error_rates import eer, min_dcf
from laspa.evaluation.intervals import eer_intervals
from laspa.evaluation.probes import language_probe
from laspa.evaluation.scores import cosine_scores
from laspa.manifest.tables import trained_languages, trial_list_info

# Named target/non-target, by whether the two utterances share a language; None takes both.
CONDITIONS: dict[str, tuple[bool | None, bool | None]] = {
    "all": (None, None),
    "cross_cross": (False, False),
    "cross_same": (False, True),
    "same_cross": (True, False),
    "same_same": (True, True),
}


def evaluate(
    embeddings: np.ndarray,
    utterance_ids: list[str],
    manifest: pd.DataFrame,
    trials: pd.DataFrame,
    list_name: str,
    bootstrap: int,
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """What a trial list says by condition, and what list that is; and its trials with scores.

    Args:
        embeddings: (n, D), one row an utterance of `utterance_ids`.
        bootstrap: resamples of the speakers for each interval.

    Raises:
        LaspaError: a trial whose utterance has no embedding.
    """
    rows = pd.Series(np.arange(len(utterance_ids)), index=utterance_ids)
    unknown = set(trials["enroll"]) | set(trials["test"])
    unknown -= set(utterance_ids)
    if unknown:
        raise LaspaError(
            f"trial list {list_name}: {len(unknown)} utterance(s) have no embedding, {sorted(unknown)[0]} "
            "among them; the list belongs to another corpus or split"
        )
    enroll, test = (rows.loc[trials[side]].to_numpy() for side in ("enroll", "test"))
    scored = trials.assign(score=cosine_scores(embeddings, enroll, test))
    about = manifest.set_index("utterance_id").loc[utterance_ids]
    speaker = about["speaker"].factorize()[0]
    sides = speaker[enroll], speaker[test]
    unseen = scored["unseen_language"].to_numpy(dtype=bool)
    parts = {"conditions": np.ones_like(unseen), "seen": ~unseen, "unseen": unseen}
    measured, omitted = _measure(scored, sides, parts, bootstrap, seed)
    info = trial_list_info(list_name, trials, manifest)
    return measured | {"omitted": omitted, "trial_list": info}, scored


def probe_of_languages(
    embeddings: np.ndarray, utterance_ids: list[str], manifest: pd.DataFrame, seed: int
) -> dict[str, float | None]:
    """How well a linear probe tells the languages of training from embeddings, and what chance would."""
    about = manifest.set_index("utterance_id").loc[utterance_ids]
    probed = about["language"].isin(trained_languages(manifest)).to_numpy()
    accuracy, chance = language_probe(
        embeddings[probed],
        about["language"].to_numpy(dtype=str)[probed],
        about["speaker"].to_numpy(dtype=str)[probed],
        seed,
    )
    return {"language_probe_accuracy": accuracy, "language_probe_chance": chance}


def _measure(
    scored: pd.DataFrame,
    sides: tuple[np.ndarray, np.ndarray],
    parts: dict[str, np.ndarray],
    bootstrap: int,
    seed: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The rates of every condition in every part of the list, and why conditions are left out of it all."""
    score, target = scored["score"].to_numpy(), scored["target"].to_numpy(dtype=bool)
    masks = condition_masks(scored)
    wanted: dict[tuple[str, str], np.ndarray] = {}
    omitted: dict[str, str] = {}
    for condition, (target_same, nontarget_same) in CONDITIONS.items():
        mask = masks[condition]
        wanted |= {(part, condition): mask & inside for part, inside in parts.items()}
        if not (mask & target).any() or not (mask & ~target).any():
            kind = "target" if not (mask & target).any() else "non-target"
            relation = target_same if kind == "target" else nontarget_same
            omitted[condition] = f"no {kind} trials {'within a language' if relation else 'across languages'}"
    both = {key: mask for key, mask in wanted.items() if (mask & target).any() and (mask & ~target).any()}
    intervals = eer_intervals(score, target, *sides, both, bootstrap, seed)
    found: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for (part, condition), mask in both.items():
        targets, nontargets = score[mask & target], score[mask & ~target]
        low, high = intervals[part, condition]
        found[part][condition] = {
            "eer": eer(targets, nontargets),
            "eer_low": low,
            "eer_high": high,
            "min_dcf_01": min_dcf(targets, nontargets, 0.01),
            "min_dcf_05": min_dcf(targets, nontargets, 0.05),
            "trials": int(mask.sum()),
            "targets": int((mask & target).sum()),
        }
    return found, omitted


def condition_masks(trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which trials belong to each condition, by columns target and same_language: (trials,) boolean each."""
    target, same = (trials[column].to_numpy(dtype=bool) for column in ("target", "same_language"))
    return {
        name: np.where(target, _relation(same, target_same), _relation(same, nontarget_same))
        for name, (target_same, nontarget_same) in CONDITIONS.items()
    }


def _relation(same: np.ndarray, wanted: bool | None) -> np.ndarray:
    return np.ones_like(same) if wanted is None else same == wanted
