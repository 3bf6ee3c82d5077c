"""Does a backend pay? Every trial is scored by what was learnt of other speakers only."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from laspa.backend.choice import FEWEST_SPEAKERS, LEAST_INNER, choose, pairs, splits
from laspa.backend.parts import Speech, fit, one_hot, posteriors, score_matrix, transform
from laspa.errors import LaspaError
from laspa.evaluation.probes import folds
from laspa.progress import progress

GROUPS = 8  # of speakers, at most; our choice: 36 pairs of them


@dataclass(frozen=True)
class Validated:
    """Scores of all pairs of utterances of different folds, before and after.

    enroll, test: (trials,) rows. before: cosines. after: scores of the chosen parts, standard where folds
    chose other parts, whose scores have another scale. standard: (s − mean) / deviation, by the non-targets
    of inner folds. transformed: (n, D) as the chosen parts leave the embeddings. chosen: parts of each fold.
    """

    enroll: np.ndarray
    test: np.ndarray
    before: np.ndarray
    after: np.ndarray
    standard: np.ndarray
    transformed: np.ndarray
    chosen: list[tuple[str, ...]]


def cross_validate(
    speech: Speech, combinations: Iterable[tuple[str, ...]], seed: int, by_posterior: bool = False
) -> Validated:
    """Trials between two groups of speakers are scored by parts that are chosen, and learnt, on the others.

    Args:
        combinations: of parts, that may be chosen.
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
    combinations = list(combinations)
    pieces: list[tuple[np.ndarray, ...]] = []
    chosen: list[tuple[str, ...]] = []
    transformed = np.zeros(speech.vectors.shape)
    cells = list(splits(speech, folds(speech.speakers, GROUPS, seed)))
    for others, rows, columns in progress(cells, len(cells), "backend", "fold"):
        choice = choose(others, combinations, seed, by_posterior)
        fitted = choice.fit(others, LEAST_INNER, classify=by_posterior)
        chosen.append(choice.parts)
        spoken = posteriors(fitted, speech.vectors, None if by_posterior else speech.languages)
        scores = score_matrix(
            fitted, (speech.vectors[rows], spoken[rows]), (speech.vectors[columns], spoken[columns])
        )
        place = pairs(rows, columns)
        kept = scores[place]
        pieces.append((rows[place[0]], columns[place[1]], kept, (kept - choice.mean) / choice.spread))
        if rows[0] == columns[0]:
            transformed[rows] = transform(fitted, speech.vectors[rows], spoken[rows])
    enroll, test, raw, standard = (np.concatenate(column) for column in zip(*pieces, strict=True))
    plain = fit(speech, ())
    before = score_matrix(plain, (speech.vectors, one_hot(speech.languages, plain)), (speech.vectors,) * 2)
    after = raw if len(set(chosen)) == 1 else standard
    return Validated(enroll, test, before[enroll, test], after, standard, transformed, chosen)
