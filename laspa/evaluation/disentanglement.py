"""How much of the language and of the speaker each kind of embedding holds: probes and variance."""

from typing import Any

import numpy as np
import pandas as pd

from laspa.evaluation.probes import Probed, language_probe, speaker_probe
from laspa.evaluation.scores import length_normalised
from laspa.manifest.tables import trained_languages


def disentanglement(
    embeddings: dict[str, np.ndarray], utterance_ids: list[str], manifest: pd.DataFrame, seed: int
) -> dict[str, dict[str, Any]]:
    """Probes and shares of variance of each kind of embedding, on utterances in languages of training.

    Args:
        embeddings: (n, D) each, rows as `utterance_ids`; such as {"speaker": …, "language": …}.

    Returns:
        for each kind language_linear, language_mlp and speaker (accuracy and chance, see
        `laspa.evaluation.probes`), and variance (see `variance_shares`).
    """
    about = manifest.set_index("utterance_id").loc[utterance_ids]
    rows = about["language"].isin(trained_languages(manifest)).to_numpy()
    language, speaker = (about[column].to_numpy(dtype=str)[rows] for column in ("language", "speaker"))
    found: dict[str, dict[str, Any]] = {}
    for name, vectors in embeddings.items():
        labels = (vectors[rows], language, speaker, seed)
        probes: dict[str, Probed] = {
            "language_linear": language_probe(*labels),
            "language_mlp": language_probe(*labels, kind="mlp"),
            "speaker": speaker_probe(*labels),
        }
        found[name] = {probe: result._asdict() for probe, result in probes.items()}
        found[name]["variance"] = variance_shares(vectors[rows], language, speaker)
    return found


def variance_shares(
    embeddings: np.ndarray, language: np.ndarray, speaker: np.ndarray
) -> dict[str, float | None]:
    """Shares of the variance of length-normalised embeddings that go with a label.

    `language` and `speaker`: each alone; `language_within_speaker`: what changes when a speaker
    changes language, beyond chance, as a share of the whole. Each is ε² (Kelley, 1935), the sum of
    squares between groups less what groups drawn at random would have:
    (SS_between − df_between · SS_within / df_within) / SS_total; about 0 for no effect, at times below.

    Args:
        embeddings: (n, D).
        language, speaker: (n,) labels.

    Returns:
        None for a share whose groups have one member each, or are one and the same.
    """
    unit = length_normalised(embeddings.astype(np.float64))
    unit = unit - unit.mean(axis=0)
    total = float((unit**2).sum())
    _, languages = np.unique(language, return_inverse=True)
    _, speakers = np.unique(speaker, return_inverse=True)
    _, cells = np.unique(speakers * (languages.max() + 1) + languages, return_inverse=True)
    whole = np.zeros(len(unit), dtype=np.int64)
    pairs = {
        "language": (whole, languages),
        "speaker": (whole, speakers),
        "language_within_speaker": (speakers, cells),
    }
    return {name: _share(unit, total, coarse, fine) for name, (coarse, fine) in pairs.items()}


def _share(unit: np.ndarray, total: float, coarse: np.ndarray, fine: np.ndarray) -> float | None:
    """ε² of the finer groups inside the coarser ones."""
    between_freedom = int(fine.max() - coarse.max())
    within_freedom = len(unit) - int(fine.max()) - 1
    if not between_freedom or not within_freedom or not total:
        return None
    explained = _between(unit, fine) - _between(unit, coarse)
    within = total - _between(unit, fine)
    return (explained - between_freedom * within / within_freedom) / total


def _between(unit: np.ndarray, group: np.ndarray) -> float:
    """Sum of squares of the groups' means, each as often as it has members."""
    count = np.bincount(group)
    sums = np.zeros((len(count), unit.shape[1]))
    np.add.at(sums, group, unit)
    return float(((sums**2).sum(axis=1) / count).sum())
