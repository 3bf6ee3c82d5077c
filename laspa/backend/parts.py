"""The parts of a backend: what is learnt of speakers, and how trials of others are scored with it."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.as_norm import nearest_cohort
from laspa.evaluation.pair_norm import LEAST_SPEAKERS, background
from laspa.evaluation.probes import linear_classifier, scaled
from laspa.evaluation.scores import cosine_scores, group_means, length_normalised

PARTS = {
    "means": "each language's mean taken away",
    "nuisance": "directions of within-speaker language differences taken away",
    "whiten": "whitened by the covariance within speakers",
    "pair": "pair norm",
    "as_norm": "AS-norm",
}
DIRECTIONS = 4  # of within-speaker language differences, at most; measured (docs/adapting.md)
SHRINKAGE = 0.5  # of the covariance within speakers, towards a multiple of the identity; measured
TOP = 20  # nearest cohort speakers of AS-norm; our choice for small cohorts


class Speech(NamedTuple):
    """Embeddings (n, D) with languages and speakers (n,), as texts."""

    vectors: np.ndarray
    languages: np.ndarray
    speakers: np.ndarray

    def take(self, rows: np.ndarray) -> "Speech":
        """Some of the rows."""
        return Speech(*(column[rows] for column in self))


@dataclass(frozen=True)
class Fitted:
    """What was learnt. Arrays of parts that are not in `parts` are empty.

    means: (languages, D) of unit vectors; centre: (D,) their mean. directions: (k, D) orthonormal.
    whitening: (D, D). background: (languages, D) of transformed vectors. cohort: (speakers, D) of them.
    weights, bias: (languages, D), (languages,) of the language classifier.
    """

    parts: tuple[str, ...]
    languages: list[str]
    means: np.ndarray
    centre: np.ndarray
    directions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    whitening: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    background: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    cohort: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0))


def unavailable(speech: Speech, least: int = LEAST_SPEAKERS) -> dict[str, str]:
    """The parts that cannot be learnt of these speakers, with the reason."""
    pairs = np.unique(np.array([speech.languages, speech.speakers]), axis=1)
    languages, counts = np.unique(pairs[0], return_counts=True)
    reasons: dict[str, str] = {}
    few = [f"{name} ({count})" for name, count in zip(languages, counts, strict=True) if count < least]
    if few:
        reasons |= dict.fromkeys(("means", "pair"), f"fewer than {least} speakers of {', '.join(few)}")
    elif len(languages) < 2:
        reasons["means"] = "one language only"
    bilingual = int((np.unique(pairs[1], return_counts=True)[1] > 1).sum())
    if bilingual < 2:
        reasons["nuisance"] = f"{bilingual} speaker(s) of two languages, 2 are needed"
    several = int((np.unique(speech.speakers, return_counts=True)[1] > 1).sum())
    if several < 2:
        reasons["whiten"] = f"{several} speaker(s) with two utterances, 2 are needed"
    return reasons


def fit(
    speech: Speech, parts: tuple[str, ...], least: int = LEAST_SPEAKERS, classify: bool = False
) -> Fitted:
    """Learn parts of speakers, who must not be scored with them.

    Args:
        least: speakers that a language's mean needs.
        classify: learn to tell languages too, for utterances without a label or of an unheard language.

    Raises:
        LaspaError: a part that cannot be learnt of these speakers.
    """
    reasons = unavailable(speech, least)
    if missing := [f"{part}: {reasons[part]}" for part in parts if part in reasons]:
        raise LaspaError(f"backend: cannot learn {'; '.join(missing)}")
    groups = background(*speech)
    languages = np.unique(groups.languages)
    means = np.stack([groups.means[groups.languages == one].mean(axis=0) for one in languages])
    fitted = Fitted(parts, languages.tolist(), means, means.mean(axis=0))
    if classify and len(languages) > 1:
        weights, bias = _classifier(speech)
        fitted = replace(fitted, weights=weights, bias=bias)
    known = one_hot(speech.languages, fitted)
    if "nuisance" in parts:
        fitted = replace(fitted, directions=_directions(groups.means, groups.speakers))
    if "whiten" in parts:
        fitted = replace(fitted, whitening=_whitening(_moved(fitted, speech.vectors, known), speech.speakers))
    if "pair" in parts or "as_norm" in parts:
        moved = background(transform(fitted, speech.vectors, known), speech.languages, speech.speakers)
        by_language = [moved.means[moved.languages == one].mean(axis=0) for one in languages]
        fitted = replace(fitted, background=np.stack(by_language), cohort=moved.means)
    return fitted


def one_hot(languages: np.ndarray, fitted: Fitted) -> np.ndarray:
    """(n, languages): 1 for the language of a label, zeros for an unknown one."""
    return np.asarray(languages[:, None] == np.array(fitted.languages), dtype=np.float64)


def posteriors(fitted: Fitted, vectors: np.ndarray, languages: np.ndarray | None = None) -> np.ndarray:
    """(n, languages): 1 for the language of a label; where it is unknown, what the classifier hears, and
    without a classifier all languages alike."""
    unit = scaled(vectors.astype(np.float64))
    labels = np.full(len(vectors), "") if languages is None else languages
    known = one_hot(labels, fitted)
    if (unknown := ~known.any(axis=1)).any():
        if not len(fitted.weights):
            known[unknown] = 1 / len(fitted.languages)
            return known
        scores = unit[unknown] @ fitted.weights.T + fitted.bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        known[unknown] = scores / scores.sum(axis=1, keepdims=True)
    return known


def transform(fitted: Fitted, vectors: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """(n, D) of unit length; spoken: (n, languages) as of `posteriors`."""
    moved = _moved(fitted, vectors, spoken)
    return length_normalised(moved @ fitted.whitening if len(fitted.whitening) else moved)


def trial_scores(
    fitted: Fitted, vectors: np.ndarray, spoken: np.ndarray, enroll: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """(trials,) float32: the values of `score_matrix` at enroll and test, rows of `vectors`."""
    moved = transform(fitted, vectors, spoken)
    scores = cosine_scores(moved, enroll, test)
    if "pair" in fitted.parts:
        near = moved @ fitted.background.T  # of each utterance to each language's speakers
        across = [(near[one] * spoken[other]).sum(axis=1) for one, other in ((enroll, test), (test, enroll))]
        scores = scores - sum(across) / 2
    if "as_norm" in fitted.parts:
        mean, spread = _nearest(fitted, moved)
        scores = sum((scores - mean[side]) / spread[side] for side in (enroll, test)) / 2
    return np.asarray(scores, dtype=np.float32)


def score_matrix(
    fitted: Fitted, one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Scores of all of `one` with all of `other`, (m, n).

    Args:
        one, other: vectors (m, D) and what is spoken in them (m, languages), as of `posteriors`.
    """
    left, right = transform(fitted, *one), transform(fitted, *other)
    scores = left @ right.T
    if "pair" in fitted.parts:
        means = one[1] @ fitted.background, other[1] @ fitted.background
        scores = scores - (left @ means[1].T + means[0] @ right.T) / 2
    if "as_norm" in fitted.parts:
        (left_mean, left_spread), (mean, spread) = _nearest(fitted, left), _nearest(fitted, right)
        scores = ((scores - left_mean[:, None]) / left_spread[:, None] + (scores - mean) / spread) / 2
    return np.asarray(scores)


def _nearest(fitted: Fitted, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each vector's highest cosines with the cohort, (n,) each."""
    return nearest_cohort(moved, fitted.cohort, min(TOP, len(fitted.cohort)))


def _moved(fitted: Fitted, vectors: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    unit = length_normalised(vectors.astype(np.float64))
    if "means" in fitted.parts:
        unit = unit - spoken @ fitted.means
    elif "whiten" in fitted.parts:
        unit = unit - fitted.centre
    if len(fitted.directions):
        unit = unit - unit @ fitted.directions.T @ fitted.directions
    return unit


def _directions(means: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Where a speaker's embedding moves with the language: main directions about the speaker's own mean."""
    residual = _within(means, speakers)
    _, sizes, directions = np.linalg.svd(residual, full_matrices=False)
    rank = int((sizes > 1e-6 * max(sizes[0], 1e-12)).sum())
    return np.asarray(directions[: min(DIRECTIONS, rank)])


def _whitening(vectors: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """C^(−½), where C is the covariance within speakers, shrunk by half to a multiple of the identity."""
    residual = _within(vectors, speakers)
    covariance = residual.T @ residual / len(residual)
    size = len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(values) @ axes.T)


def _within(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Vectors minus their group's mean."""
    number = np.unique(groups, return_inverse=True)[1]
    return np.asarray(vectors - group_means(vectors, number)[number])


def _classifier(speech: Speech) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression on unit vectors: weights (languages, D) and bias (languages,)."""
    from threadpoolctl import threadpool_limits

    vectors = scaled(speech.vectors.astype(np.float64))
    with threadpool_limits(1):
        found = linear_classifier(vectors.shape[1]).fit(vectors, speech.languages)
    weights, bias = found.coef_, found.intercept_
    if len(weights) == 1:  # scikit-learn has one row for two classes
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias
