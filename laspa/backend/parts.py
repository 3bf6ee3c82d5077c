"""The parts of a backend: what is learnt of speakers, and how trials of others are scored with it."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from laspa.backend.covariances import directions, hard_plda, plda_weights, whitening
from laspa.errors import LaspaError
from laspa.evaluation.pair_norm import LEAST_SPEAKERS, background
from laspa.evaluation.probes import linear_classifier, scaled
from laspa.evaluation.scores import cosine_scores, length_normalised

PARTS = {
    "means": "each language's mean taken away",
    "nuisance": "directions of within-speaker language differences taken away",
    "whiten": "whitened by the covariance within speakers",
    "plda": "two-covariance PLDA of hard pairs",
    "pair": "pair norm",
    "side": "the probability of one language as side information",
}


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
    whitening: (D, D). axes, variances: (D, D), (D,) of PLDA. background: (languages, D) of transformed
    vectors. weights, bias: (languages, D), (languages,) of the language classifier. side: (1,) that a score
    gains where both sides are surely of one language; it is learnt of scores (laspa/backend/choice.py).
    """

    parts: tuple[str, ...]
    languages: list[str]
    means: np.ndarray
    centre: np.ndarray
    directions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    whitening: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    axes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    variances: np.ndarray = field(default_factory=lambda: np.zeros(0))
    background: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    side: np.ndarray = field(default_factory=lambda: np.zeros(1))


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
        what = f"{bilingual} speaker(s) of two languages, 2 are needed"
        reasons |= dict.fromkeys(("nuisance", "side"), what)
    several = int((np.unique(speech.speakers, return_counts=True)[1] > 1).sum())
    if several < 2:
        what = f"{several} speaker(s) with two utterances, 2 are needed"
        reasons |= dict.fromkeys(("whiten", "plda"), what)
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
        fitted = replace(fitted, directions=directions(groups.means, groups.speakers))
    if "whiten" in parts:
        fitted = replace(fitted, whitening=whitening(_moved(fitted, speech.vectors, known), speech.speakers))
    moved = transform(fitted, speech.vectors, known)
    if "plda" in parts:
        axes, variances = hard_plda(moved, speech.languages, speech.speakers)
        fitted = replace(fitted, axes=axes, variances=variances)
    if "pair" in parts:
        spoken = background(moved, speech.languages, speech.speakers)
        by_language = [spoken.means[spoken.languages == one].mean(axis=0) for one in languages]
        fitted = replace(fitted, background=np.stack(by_language))
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
    if "plda" in fitted.parts:
        axes, own = _plda(fitted, moved)
        length = np.linalg.norm(axes, axis=1)
        scores = cosine_scores(axes, enroll, test) * length[enroll] * length[test] - own[enroll] - own[test]
    else:
        scores = cosine_scores(moved, enroll, test)
    if "pair" in fitted.parts:
        near = moved @ fitted.background.T  # of each utterance to each language's speakers
        across = [(near[one] * spoken[other]).sum(axis=1) for one, other in ((enroll, test), (test, enroll))]
        scores = scores - sum(across) / 2
    if "side" in fitted.parts:
        scores = scores + fitted.side * (spoken[enroll] * spoken[test]).sum(axis=1)
    return np.asarray(scores, dtype=np.float32)


def score_matrix(
    fitted: Fitted, one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Scores of all of `one` with all of `other`, (m, n).

    Args:
        one, other: vectors (m, D) and what is spoken in them (m, languages), as of `posteriors`.
    """
    left, right = transform(fitted, *one), transform(fitted, *other)
    if "plda" in fitted.parts:
        (first, first_own), (second, second_own) = _plda(fitted, left), _plda(fitted, right)
        scores = first @ second.T - first_own[:, None] - second_own
    else:
        scores = left @ right.T
    if "pair" in fitted.parts:
        means = one[1] @ fitted.background, other[1] @ fitted.background
        scores = scores - (left @ means[1].T + means[0] @ right.T) / 2
    if "side" in fitted.parts:
        scores = scores + fitted.side * (one[1] @ other[1].T)
    return np.asarray(scores)


def _plda(fitted: Fitted, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """√a·x, (n, D), and ½·Σ b·x², (n,): see `plda_weights`."""
    (product, square), along = plda_weights(fitted.variances), moved @ fitted.axes
    return along * np.sqrt(product), along**2 @ square / 2


def _moved(fitted: Fitted, vectors: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    unit = length_normalised(vectors.astype(np.float64))
    if "means" in fitted.parts:
        unit = unit - spoken @ fitted.means
    elif {"whiten", "plda"} & {*fitted.parts}:
        unit = unit - fitted.centre
    if len(fitted.directions):
        unit = unit - unit @ fitted.directions.T @ fitted.directions
    return unit


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
