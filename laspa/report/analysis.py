"""What the figures show, computed: DET curves, densities, errors by language pair, a map of embeddings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from laspa.corpora.catalogue import CORPORA
from laspa.corpora.size import corpus_sizes
from laspa.evaluation.error_rates import eer

CONDITION_RELATIONS: dict[str, tuple[bool | None, bool | None]] = {
    # Is the language the same, in target and in non-target trials; None for both kinds.
    "cross_same": (False, True),
    "same_same": (True, True),
    "cross_cross": (False, False),
    "same_cross": (True, False),
    "all": (None, None),
}
DET_RATES = norm.cdf(np.linspace(norm.ppf(0.0005), norm.ppf(0.6), 120))  # evenly spaced as the axis is
MIN_PAIR_TRIALS = 20  # of each kind, for an EER of a language pair to say anything
MAP_SPEAKERS, MAP_POINTS = 20, 600


def condition_scores(scores: pd.DataFrame, condition: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a condition's target and non-target trials."""
    chosen = []
    for is_target, relation in zip((True, False), CONDITION_RELATIONS[condition], strict=True):
        rows = scores["target"].to_numpy(dtype=bool) == is_target
        if relation is not None:
            rows &= scores["same_language"].to_numpy(dtype=bool) == relation
        chosen.append(scores["score"].to_numpy(dtype=np.float64)[rows])
    return chosen[0], chosen[1]


def present_conditions(scores: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each condition that has trials of both kinds, with its target and non-target scores."""
    for condition in CONDITION_RELATIONS:
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


def score_density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of `values` a unit of score in each bin."""
    return np.histogram(values, edges)[0] / (max(len(values), 1) * np.diff(edges))


def language_pair_eers(scores: pd.DataFrame, manifest: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """EER by pair of languages: targets between the two, non-targets within either of them.

    Off the diagonal that is cross/same, on it same/same.

    Returns:
        languages with a known EER, sorted, and EERs `(languages, languages)`, symmetrical; NaN where
        trials are too few.
    """
    language = manifest.set_index("utterance_id")["language"]
    sides = np.sort(
        np.stack([language.loc[scores[side]].to_numpy(dtype=str) for side in ("enroll", "test")]), axis=0
    )
    target, score = scores["target"].to_numpy(dtype=bool), scores["score"].to_numpy(dtype=np.float64)
    names = sorted(set(sides.ravel().tolist()))
    within = {name: score[~target & (sides[0] == name) & (sides[1] == name)] for name in names}
    errors = np.full((len(names), len(names)), np.nan)
    for row, first in enumerate(names):
        for column, second in enumerate(names[: row + 1]):
            low, high = sorted((first, second))
            targets = score[target & (sides[0] == low) & (sides[1] == high)]
            nontargets = np.concatenate([within[name] for name in sorted({first, second})])
            if min(len(targets), len(nontargets)) >= MIN_PAIR_TRIALS:
                errors[row, column] = errors[column, row] = float(eer(targets, nontargets))
    known = np.isfinite(errors).any(axis=0)
    return [name for name, kept in zip(names, known, strict=True) if kept], errors[np.ix_(known, known)]


@dataclass
class EmbeddingMap:
    """Some test utterances in the plane: points (utterances, 2), and whose and what they are."""

    points: np.ndarray
    speakers: np.ndarray
    languages: np.ndarray


def embedding_map(embeddings: pd.DataFrame, manifest: pd.DataFrame, seed: int = 0) -> EmbeddingMap | None:
    """t-SNE (van der Maaten and Hinton 2008) of some speakers' embeddings under the cosine distance.

    The speakers are evenly spread over the sorted list, those with several languages first, so
    the same ones are shown from run to run. One thread, since the order of sums changes the map.
    None where there are fewer than ten utterances.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = embeddings[["utterance_id"]].merge(manifest, on="utterance_id", how="left")
    spoken = rows.groupby("speaker")["language"].nunique().sort_index()
    several = spoken[spoken >= 2].index.tolist() or spoken.index.tolist()
    chosen = [several[index] for index in _evenly(len(several), MAP_SPEAKERS)]
    shown = np.flatnonzero(rows["speaker"].isin(chosen).to_numpy())
    shown = shown[_evenly(len(shown), MAP_POINTS)]
    if len(shown) < 10:
        return None
    vectors = np.stack(embeddings["vector"].to_numpy()[shown].tolist()).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    with threadpool_limits(1):
        tsne = TSNE(
            perplexity=min(30.0, (len(shown) - 1) / 3),
            init="pca",
            metric="cosine",
            max_iter=500,
            random_state=seed,
        )
        points = tsne.fit_transform(vectors)
    part = rows.iloc[shown]
    return EmbeddingMap(points, part["speaker"].to_numpy(dtype=str), part["language"].to_numpy(dtype=str))


def data_card(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a split: speakers, those with several languages, languages, utterances, hours."""
    rows = []
    for split in ("train", "dev", "test"):
        part = manifest[manifest["split"] == split]
        spoken = part.groupby("speaker")["language"].nunique()
        rows.append(
            {
                "split": split,
                "speakers": len(spoken),
                "multilingual": int((spoken >= 2).sum()),
                "languages": sorted(part["language"].unique().tolist()),
                "utterances": len(part),
                "hours": float((part["num_samples"] / part["sample_rate"]).sum() / 3600),
            }
        )
    return rows


def corpora_card(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a corpus: title, how much of it is here, licence and citation, which may be empty."""
    rows = []
    for name, size in corpus_sizes(manifest).items():
        corpus = CORPORA.get(name)
        whole = corpus.complete.speakers if corpus else None
        rows.append(
            {
                "title": corpus.title if corpus else name,
                "speakers": size.speakers,
                "of": whole if whole != size.speakers else None,
                "languages": size.languages,
                "utterances": size.utterances,
                "hours": size.hours,
                "licence": corpus.licence.name if corpus else "",
                "licence_url": corpus.licence.url if corpus else "",
                "citation": corpus.citation if corpus else "",
            }
        )
    return rows


def _evenly(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` indices of `count`, evenly spread."""
    return (
        np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int))
        if count
        else np.empty(0, int)
    )
