"""A trained model on real speech: is a voice nearer to itself in another language than to other voices?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from laspa.errors import LaspaError


class Cosines(NamedTuple):
    """Mean cosine of pairs of utterances, its standard deviation over the pairs, and their number."""

    mean: float
    deviation: float
    pairs: int


def compare(embeddings: np.ndarray, speakers: pd.Series, languages: pd.Series) -> dict[str, Cosines]:
    """Cosines within a language, across languages and against other voices, of multilingual speakers.

    Args:
        embeddings: (utterances, D); speakers, languages: of each utterance.

    Returns:
        `SPEAKER within LANGUAGE`, `SPEAKER across LANGUAGE and LANGUAGE`, and `SPEAKER against OTHER`.

    Raises:
        LaspaError: nobody speaks two languages.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    found: dict[str, Cosines] = {}
    for speaker in sorted(set(speakers)):
        own = (speakers == speaker).to_numpy()
        rows = {language: unit[own & (languages == language)] for language in sorted(set(languages[own]))}
        if len(rows) < 2:
            continue
        for language, these in rows.items():
            if len(these) > 1:
                pairs = (these @ these.T)[np.triu_indices(len(these), 1)]
                found[f"{speaker} within {language}"] = _cosines(pairs)
            for other, those in rows.items():
                if other > language:
                    found[f"{speaker} across {language} and {other}"] = _cosines(these @ those.T)
        for other in sorted(set(speakers) - {speaker}):
            found[f"{speaker} against {other}"] = _cosines(unit[own] @ unit[speakers == other].T)
    if not found:
        raise LaspaError("nobody in this corpus speaks two languages; there is nothing to compare across")
    return found


def _cosines(values: np.ndarray) -> Cosines:
    return Cosines(float(values.mean()), float(values.std()), values.size)
