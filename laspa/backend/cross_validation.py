"""Does a backend pay? Every trial is scored by what was learnt of other speakers only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from laspa.backend.parts import Fitted, Speech, fit, one_hot, posteriors, score_matrix, transform
from laspa.errors import LaspaError
from laspa.evaluation.error_rates import eer
from laspa.evaluation.probes import folds
from laspa.progress import progress

GROUPS, INNER_GROUPS = 8, 5  # of speakers, at most; our choice: 36 and 15 pairs of them
FEWEST_SPEAKERS = 4  # two are scored while two are learnt from
LEAST_INNER = (
    2  # background speakers of a language on inner folds, which have few; only parts are chosen there
)
# Combinations of parts that are tried, simplest first.
CANDIDATES: tuple[tuple[str, ...], ...] = (
    (),
    ("pair",),
    ("means",),
    ("means", "pair"),
    ("nuisance",),
    ("nuisance", "pair"),
    ("means", "whiten"),
    ("means", "whiten", "pair"),
    ("nuisance", "whiten"),
    ("as_norm",),
)


@dataclass(frozen=True)
class Validated:
    """Scores of all pairs of utterances of different folds, before and after.

    enroll, test: (trials,) rows. before: cosines. after: scores of the chosen parts. transformed: (n, D) as
    the chosen parts leave the embeddings. chosen: parts of each fold.
    """

    enroll: np.ndarray
    test: np.ndarray
    before: np.ndarray
    after: np.ndarray
    transformed: np.ndarray
    chosen: list[tuple[str, ...]]


def cross_validate(
    speech: Speech, allowed: tuple[str, ...], seed: int, by_posterior: bool = False
) -> Validated:
    """Trials between two groups of speakers are scored by parts that are chosen, and learnt, on the others.

    Args:
        allowed: parts that may be chosen.
        by_posterior: tell languages by a classifier learnt on the others, as for unlabelled speech.

    Raises:
        LaspaError: too few speakers, or none with two utterances.
    """
    names, counts = np.unique(speech.speakers, return_counts=True)
    if len(names) < FEWEST_SPEAKERS or counts.max() < 2:
        raise LaspaError(
            f"backend: {len(names)} speaker(s), {int((counts > 1).sum())} of them with two utterances; two "
            f"are scored while others are learnt from, so {FEWEST_SPEAKERS} are needed, and a target trial "
            "needs two utterances of one speaker"
        )
    group = folds(speech.speakers, GROUPS, seed)
    pieces: list[tuple[np.ndarray, ...]] = []
    chosen: list[tuple[str, ...]] = []
    transformed = np.zeros(speech.vectors.shape)
    pairs = list(combinations_with_replacement(range(group.max() + 1), 2))
    for first, second in progress(pairs, len(pairs), "backend", "fold"):
        others = speech.take(~np.isin(group, (first, second)))
        parts, low, high = choose(others, allowed, seed)
        fitted = fit(others, parts, LEAST_INNER, classify=by_posterior)
        chosen.append(parts)
        rows, columns = np.flatnonzero(group == first), np.flatnonzero(group == second)
        spoken = posteriors(fitted, speech.vectors, None if by_posterior else speech.languages)
        scores = score_matrix(
            fitted, (speech.vectors[rows], spoken[rows]), (speech.vectors[columns], spoken[columns])
        )
        place, other = _pairs(rows, columns)
        # Folds may choose other parts, whose scores have another scale.
        pieces.append((rows[place], columns[other], (scores[place, other] - low) / (high - low)))
        if first == second:
            transformed[rows] = transform(fitted, speech.vectors[rows], spoken[rows])
    enroll, test, after = (np.concatenate(column) for column in zip(*pieces, strict=True))
    plain = fit(speech, ())
    before = score_matrix(plain, (speech.vectors, one_hot(speech.languages, plain)), (speech.vectors,) * 2)
    return Validated(enroll, test, before[enroll, test], after, transformed, chosen)


def choose(speech: Speech, allowed: tuple[str, ...], seed: int) -> tuple[tuple[str, ...], float, float]:
    """The parts with the lowest EER over all trials of inner folds, the simplest of equals.

    Returns:
        parts, and the mean scores of non-targets and of targets with them.
    """
    if len(np.unique(speech.speakers)) < FEWEST_SPEAKERS:
        return (), 0.0, 1.0
    group = folds(speech.speakers, INNER_GROUPS, seed)
    best: tuple[float, tuple[str, ...], float, float] | None = None
    for parts in CANDIDATES:
        if not set(parts) <= set(allowed):
            continue
        try:
            scores, target = _inner(speech, parts, group)
        except LaspaError:  # a fold has too few speakers for a part
            if not parts:
                raise
            continue
        rate = eer(scores[target], scores[~target])
        if best is None or rate < best[0]:
            best = rate, parts, float(scores[~target].mean()), float(scores[target].mean())
    assert best is not None  # () is always a candidate
    return best[1:]


def _inner(speech: Speech, parts: tuple[str, ...], group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, target = [], []
    for fitted, rows, columns in _fits(speech, parts, group):
        spoken = posteriors(fitted, speech.vectors, speech.languages)
        matrix = score_matrix(
            fitted, (speech.vectors[rows], spoken[rows]), (speech.vectors[columns], spoken[columns])
        )
        place, other = _pairs(rows, columns)
        scores.append(matrix[place, other])
        target.append(speech.speakers[rows[place]] == speech.speakers[columns[other]])
    return np.concatenate(scores), np.concatenate(target)


def _fits(
    speech: Speech, parts: tuple[str, ...], group: np.ndarray
) -> Iterator[tuple[Fitted, np.ndarray, np.ndarray]]:
    for first, second in combinations_with_replacement(range(group.max() + 1), 2):
        others = speech.take(~np.isin(group, (first, second)))
        rows, columns = np.flatnonzero(group == first), np.flatnonzero(group == second)
        yield fit(others, parts, LEAST_INNER), rows, columns


def _pairs(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair once: places in `rows` and in `columns`, which are equal or have none in common."""
    if rows[0] == columns[0]:
        place, other = np.nonzero(rows[:, None] < columns)
    else:
        place, other = (side.ravel() for side in np.indices((len(rows), len(columns))))
    return place, other
