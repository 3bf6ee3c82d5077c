"""The dev or test split: its trials, and the features and manifest that they are scored with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from laspa.errors import LaspaError
from laspa.evaluation.scores import cosine_scores
from laspa.features.store import FeatureStore
from laspa.manifest.tables import read_manifest
from laspa.trials.lists import TrialList, read_trials, rows_of


@dataclass
class Split:
    """What a dev or test split is scored with; `features` has the utterances of its trials."""

    name: str
    features: FeatureStore
    manifest: pd.DataFrame
    trials: TrialList


def load_split(data: Path, name: str) -> Split:
    """The split `name` under the folder `data`."""
    trials = read_trials(data / "trials" / f"{name}.parquet")
    features = FeatureStore(data / "features", sorted(trials.names.to_pylist()))
    return Split(name, features, read_manifest(data / "manifest.parquet"), trials)


def embedding_rows(trials: TrialList, name: str, utterance_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which of `utterance_ids` each side of a list's trials is: (trials,) each.

    Args:
        name: of the list, for messages.

    Raises:
        LaspaError: a trial whose utterance has no embedding.
    """
    rows = rows_of(trials.names, utterance_ids)
    if (missing := np.flatnonzero(rows < 0)).size:
        raise LaspaError(
            f"trial list {name}: {len(missing)} utterance(s) have no embedding, {trials.names[missing[0]]} "
            "among them; the list belongs to another corpus or split"
        )
    return rows[trials.enroll], rows[trials.test]


def score_trials(
    trials: TrialList, name: str, utterance_ids: list[str], embeddings: np.ndarray
) -> np.ndarray:
    """Cosines of a list's trials, (trials,); embeddings: (n, D), one row per utterance of `utterance_ids`.

    Raises:
        LaspaError: as `embedding_rows`.
    """
    return cosine_scores(embeddings, *embedding_rows(trials, name, utterance_ids))
