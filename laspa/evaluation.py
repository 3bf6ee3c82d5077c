"""One evaluation: the four language conditions, seen and unseen languages, intervals, the probe."""

from typing import Any

import numpy as np
import pandas as pd

from laspa.bootstrap import eer_interval
from laspa.errors import LaspaError
from laspa.metrics import eer, min_dcf
from laspa.probe import language_probe
from laspa.scoring import cosine_scores
from laspa.tables import trial_list_info

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
    """Everything that embeddings and a trial list say (reports/metrics.json), and the scored trials.

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

    conditions, omitted = _conditions(scored, sides, bootstrap, seed)
    unseen = scored["unseen_language"].to_numpy(dtype=bool)
    seen_in_training = set(manifest.loc[manifest["split"] == "train", "language"])
    probed = about["language"].isin(seen_in_training).to_numpy()
    accuracy, chance = language_probe(
        embeddings[probed],
        about["language"].to_numpy(dtype=str)[probed],
        about["speaker"].to_numpy(dtype=str)[probed],
        seed,
    )
    metrics = {
        "conditions": conditions,
        "seen": _conditions(scored[~unseen], tuple(side[~unseen] for side in sides), bootstrap, seed)[0],
        "unseen": _conditions(scored[unseen], tuple(side[unseen] for side in sides), bootstrap, seed)[0],
        "omitted": omitted,
        "language_probe_accuracy": accuracy,
        "language_probe_chance": chance,
        "trial_list": trial_list_info(list_name, trials, manifest),
    }
    return metrics, scored


def _conditions(
    scored: pd.DataFrame, sides: tuple[np.ndarray, ...], bootstrap: int, seed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    score, target = scored["score"].to_numpy(), scored["target"].to_numpy(dtype=bool)
    same = scored["same_language"].to_numpy(dtype=bool)
    conditions, omitted = {}, {}
    for name, (target_same, nontarget_same) in CONDITIONS.items():
        wanted = np.where(target, *(_relation(same, relation) for relation in (target_same, nontarget_same)))
        if not (wanted & target).any() or not (wanted & ~target).any():
            kind = "target" if not (wanted & target).any() else "non-target"
            relation = target_same if kind == "target" else nontarget_same
            omitted[name] = f"no {kind} trials {'within a language' if relation else 'across languages'}"
            continue
        targets, nontargets = score[wanted & target], score[wanted & ~target]
        low, high = eer_interval(
            score[wanted], target[wanted], sides[0][wanted], sides[1][wanted], bootstrap, seed
        )
        conditions[name] = {
            "eer": eer(targets, nontargets),
            "eer_low": low,
            "eer_high": high,
            "min_dcf_01": min_dcf(targets, nontargets, 0.01),
            "min_dcf_05": min_dcf(targets, nontargets, 0.05),
            "trials": int(wanted.sum()),
            "targets": int((wanted & target).sum()),
        }
    return conditions, omitted


def _relation(same: np.ndarray, wanted: bool | None) -> np.ndarray:
    return np.ones_like(same) if wanted is None else same == wanted
