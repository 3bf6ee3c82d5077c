"""A model's scores in detail: every rate of every part of a list, calibrated on dev, and under AS-norm."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from laspa.errors import LaspaError
from laspa.evaluation.as_norm import TOP, as_norm
from laspa.evaluation.breakdown import GROUPINGS, About, measure_parts
from laspa.evaluation.calibration import Calibration, fit_calibration
from laspa.evaluation.scores import cosine_scores
from laspa.trials.lists import trials_of_table


def dev_calibration(
    trials: pd.DataFrame, utterance_ids: list[str], embeddings: np.ndarray
) -> tuple[Calibration | None, str | None]:
    """The calibration that cosines of the dev trials give; None, and why, where they give none."""
    scores = cosine_scores(embeddings, *_rows(trials, utterance_ids))
    target = trials["target"].to_numpy(dtype=bool)
    try:
        return fit_calibration(scores[target], scores[~target]), None
    except LaspaError as error:
        return None, str(error)


def normalised(
    scored: pd.DataFrame,
    utterance_ids: list[str],
    embeddings: np.ndarray,
    cohort_ids: list[str],
    cohort: np.ndarray,
    manifest: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The trials with AS-norm scores instead, and the size of the cohort.

    Raises:
        LaspaError: a cohort speaker is evaluated, or is alone.
    """
    speaker = manifest.set_index("utterance_id")["speaker"]
    tested, others = (speaker.loc[ids].to_numpy(dtype=str) for ids in (utterance_ids, cohort_ids))
    scores = as_norm(embeddings, tested, *_rows(scored, utterance_ids), cohort, others)
    speakers = len(np.unique(others))
    size = {"utterances": len(cohort_ids), "speakers": speakers, "nearest": min(TOP, speakers)}
    return scored.assign(score=scores), size


def detailed_rates(
    scored: pd.DataFrame,
    manifest: pd.DataFrame,
    calibration: Calibration | None,
    resamples: int,
    seed: int,
    groupings: tuple[str, ...] = GROUPINGS,
) -> dict[str, dict[str, dict[str, Any] | None]]:
    """All rates of a table of scored trials and of its parts, as `breakdown.measure_parts` has them."""
    trials = trials_of_table("the scored trials", pa.Table.from_pandas(scored, preserve_index=False))
    known = manifest.set_index("utterance_id").loc[trials.names.to_pylist()]
    about = About(*(known[name].to_numpy(dtype=object) for name in ("speaker", "language", "gender")))
    scores = scored["score"].to_numpy(dtype=np.float64)
    return measure_parts(trials, scores, about, groupings, calibration, resamples, seed)


def _rows(trials: pd.DataFrame, utterance_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    place = pd.Series(np.arange(len(utterance_ids)), index=utterance_ids)
    return place.loc[trials["enroll"]].to_numpy(), place.loc[trials["test"]].to_numpy()
