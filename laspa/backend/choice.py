"""Which parts of a backend to use: chosen on inner folds of the speakers that may be learnt from."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from laspa.backend.parts import Fitted, Speech, fit, posteriors, score_matrix
from laspa.errors import LaspaError
from laspa.evaluation.calibration import logistic_weights
from laspa.evaluation.error_rates import eer
from laspa.evaluation.probes import folds

INNER_GROUPS = 5  # of speakers, at most; our choice: 15 pairs of them
FEWEST_SPEAKERS = 4  # two are scored while two are learnt from
LEAST_INNER = 2  # background speakers of a language, since inner folds have few; only parts are chosen there
SIDE = "side"
# Combinations of parts that are tried, simplest first, each without side information and with it.
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("pair",),
    ("means",),
    ("nuisance",),
    ("whiten",),
    ("nuisance", "pair"),
    ("means", "whiten"),
    ("nuisance", "whiten"),
    ("plda",),
)


class Choice(NamedTuple):
    """Parts, the weight of the side information, and mean and deviation of the scores of non-targets."""

    parts: tuple[str, ...]
    side: float = 0.0
    mean: float = 0.0
    spread: float = 1.0

    def fit(self, speech: Speech, least: int, classify: bool) -> Fitted:
        """What these parts learn of `speech`; arguments as of `laspa.backend.parts.fit`."""
        return replace(fit(speech, self.parts, least, classify), side=np.array([self.side]))


class Inner(NamedTuple):
    """Scores of trials of inner folds, (trials,) each; together: probability of one language."""

    scores: np.ndarray
    target: np.ndarray
    together: np.ndarray


def choose(
    speech: Speech, combinations: Iterable[tuple[str, ...]], seed: int, by_posterior: bool = False
) -> Choice:
    """The combination with the lowest EER over all trials of inner folds, the simplest of equals."""
    if len(np.unique(speech.speakers)) < FEWEST_SPEAKERS:
        return Choice(())
    wanted = list(combinations)
    plain = dict.fromkeys(tuple(part for part in parts if part != SIDE) for parts in wanted)
    inner = _inner(speech, list(plain), folds(speech.speakers, INNER_GROUPS, seed), by_posterior)
    best: tuple[float, Choice] | None = None
    for parts in wanted:
        found = inner.get(tuple(part for part in parts if part != SIDE))
        if found is None:  # a fold has too few speakers for a part
            continue
        side = _side(found) if SIDE in parts else 0.0
        scores = found.scores + side * found.together
        targets, nontargets = scores[found.target], scores[~found.target]
        rate = eer(targets, nontargets)
        if best is None or rate < best[0]:
            best = rate, Choice(parts, side, float(nontargets.mean()), float(nontargets.std()) or 1.0)
    return Choice(()) if best is None else best[1]


def candidates(allowed: Iterable[str]) -> list[tuple[str, ...]]:
    """The combinations of allowed parts."""
    use = set(allowed)
    return [
        parts
        for combination in COMBINATIONS
        for parts in (combination, (*combination, SIDE))
        if set(parts) <= use
    ]


def _side(found: Inner) -> float:
    """The weight of `together` beside a score of weight 1, by logistic regression.

    Targets and non-targets, within a language and across, count a quarter each: how often each occurs in
    these trials is no property of a language.
    """
    cells = 2 * found.target + (found.together > 0.5)
    counts = np.bincount(cells, minlength=4)
    if not counts.all():
        return 0.0
    columns = np.stack([found.scores, found.together])
    (score, together), _ = logistic_weights(columns, found.target, (len(cells) / 4 / counts)[cells], 1.0)
    return together / score if score > 0 else 0.0


def _inner(
    speech: Speech, combinations: list[tuple[str, ...]], group: np.ndarray, by_posterior: bool
) -> dict[tuple[str, ...], Inner]:
    """Scores of each combination that every inner fold can learn."""
    pieces: dict[tuple[str, ...], list[Inner]] = {parts: [] for parts in combinations}
    for others, rows, columns in splits(speech, group):
        told = fit(others, (), LEAST_INNER, classify=by_posterior)
        spoken = posteriors(told, speech.vectors, None if by_posterior else speech.languages)
        one, other = ((speech.vectors[side], spoken[side]) for side in (rows, columns))
        place = pairs(rows, columns)
        target = speech.speakers[rows[place[0]]] == speech.speakers[columns[place[1]]]
        together = (one[1] @ other[1].T)[place]
        for parts in list(pieces):
            try:
                scores = score_matrix(fit(others, parts, LEAST_INNER), one, other)[place]
            except LaspaError:
                del pieces[parts]
                continue
            pieces[parts].append(Inner(scores, target, together))
    return {parts: Inner(*map(np.concatenate, zip(*found, strict=True))) for parts, found in pieces.items()}


def splits(speech: Speech, group: np.ndarray) -> Iterator[tuple[Speech, np.ndarray, np.ndarray]]:
    """For each two groups, or one with itself: the other speakers, and the rows of both."""
    for first, second in combinations_with_replacement(range(group.max() + 1), 2):
        others = speech.take(~np.isin(group, (first, second)))
        yield others, np.flatnonzero(group == first), np.flatnonzero(group == second)


def pairs(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair once: places in `rows` and in `columns`, which are equal or have none in common."""
    if rows[0] == columns[0]:
        place, other = np.nonzero(rows[:, None] < columns)
    else:
        place, other = (side.ravel() for side in np.indices((len(rows), len(columns))))
    return place, other
