"""What the figures show, computed: DET curves, errors by language pair, a map of embeddings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from laspa.evaluation.error_rates import eer
from laspa.evaluation.scores import length_normalised
from laspa.trials.conditions import CONDITIONS

DET_RANGE = (0.0005, 0.6)
DET_RATES = norm.cdf(np.linspace(norm.ppf(DET_RANGE[0]), norm.ppf(DET_RANGE[1]), 120))  # even on the axis
MIN_PAIR_TRIALS = 20  # of each kind, for an EER of a language pair to say anything
MAP_SPEAKERS, MAP_POINTS = 20, 600
MAP_FEWEST = 10  # points


def condition_scores(scores: pd.DataFrame, condition: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a condition's target and non-target trials."""
    target, same = (scores[name].to_numpy(dtype=bool) for name in ("target", "same_language"))
    score = scores["score"].to_numpy(dtype=np.float64)
    chosen = CONDITIONS[condition].mask(target, same)
    return score[chosen & target], score[chosen & ~target]


def present_conditions(scores: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each condition that has trials of both kinds, with its target and non-target scores."""
    for condition in CONDITIONS:
        target, nontarget = condition_scores(scores, condition)
        if len(target) and len(nontarget):
            yield condition, target, nontarget


def det_curve(target: np.ndarray, nontarget: np.ndarray, rates: np.ndarray = DET_RATES) -> np.ndarray:
    """The lowest miss rate at which at most the share `rates` of non-targets is accepted.

    NaN at rates finer than one non-target or where no target is missed: the list cannot show them.
    """
    descending = np.sort(nontarget)[::-1]
    accepted = np.floor(rates * len(descending)).astype(int)
    # Accept what scores above the first non-target that must be rejected.
    threshold = descending[np.minimum(accepted, len(descending) - 1)]
    miss = np.searchsorted(np.sort(target), threshold, side="right") / len(target)
    return np.where((accepted < 1) | (miss == 0), np.nan, miss)


def language_pair_eers(scores: pd.DataFrame, manifest: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """EER by pair of languages: targets between the two, non-targets within either of them.

    Off the diagonal that is cross/same, on it same/same.

    Returns:
        languages with a known EER, sorted, and EERs `(languages, languages)`, symmetrical; NaN where
        trials are too few.
    """
    language = manifest.set_index("utterance_id")["language"]
    sides = np.stack([language.loc[scores[side]].to_numpy(dtype=str) for side in ("enroll", "test")])
    low, high = np.sort(sides, axis=0)
    target, score = scores["target"].to_numpy(dtype=bool), scores["score"].to_numpy(dtype=np.float64)
    names = np.unique(sides).tolist()
    within = {name: score[~target & (low == name) & (high == name)] for name in names}
    errors = np.full((len(names), len(names)), np.nan)
    for row, last in enumerate(names):
        for column, first in enumerate(names[: row + 1]):
            targets = score[target & (low == first) & (high == last)]
            nontargets = np.concatenate([within[name] for name in {first: 0, last: 0}])
            if min(len(targets), len(nontargets)) >= MIN_PAIR_TRIALS:
                errors[row, column] = errors[column, row] = float(eer(targets, nontargets))
    known = np.isfinite(errors).any(axis=0)
    return np.array(names)[known].tolist(), errors[np.ix_(known, known)]


@dataclass
class EmbeddingMap:
    """Some test utterances in the plane: points (utterances, 2), their speakers and languages."""

    points: np.ndarray
    speakers: np.ndarray
    languages: np.ndarray


def embedding_map(embeddings: pd.DataFrame, manifest: pd.DataFrame) -> EmbeddingMap | None:
    """t-SNE (van der Maaten and Hinton 2008) of some speakers' embeddings under the cosine distance.

    The speakers are evenly spread over the sorted list of those with several languages (over all where
    nobody has), so every run shows the same ones. One thread, since the order of sums changes the map.
    None where there are fewer than MAP_FEWEST utterances.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = embeddings[["utterance_id"]].merge(manifest, on="utterance_id", how="left")
    spoken = rows.groupby("speaker")["language"].nunique().sort_index()
    several = spoken[spoken >= 2].index.tolist() or spoken.index.tolist()
    chosen = [several[index] for index in _evenly(len(several), MAP_SPEAKERS)]
    shown = np.flatnonzero(rows["speaker"].isin(chosen).to_numpy())
    shown = shown[_evenly(len(shown), MAP_POINTS)]
    if len(shown) < MAP_FEWEST:
        return None
    vectors = length_normalised(np.stack(embeddings["vector"].to_numpy()[shown].tolist()).astype(np.float64))
    perplexity = min(30.0, (len(shown) - 1) / 3)
    with threadpool_limits(1):
        tsne = TSNE(perplexity=perplexity, init="pca", metric="cosine", max_iter=500, random_state=0)
        points = tsne.fit_transform(vectors)
    part = rows.iloc[shown]
    return EmbeddingMap(points, part["speaker"].to_numpy(dtype=str), part["language"].to_numpy(dtype=str))


def _evenly(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` indices of `count`, evenly spread."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, wanted)).round().astype(int))
