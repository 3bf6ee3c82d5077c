"""Pair norm: a trial's cosine, relative to how near each side comes to speakers of the other side's language.

An utterance is nearer to all speakers of its own language than to those of another one, so a target across
languages scores lower than its speaker deserves. Measured on real bilinguals in docs/adapting.md.
"""

from typing import NamedTuple

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.scores import cosine_scores, group_means, length_normalised

LEAST_SPEAKERS = 4  # of a language; with one or two, errors within a language rise (our measurement)
BLOCK = 4096  # trials at a time, to bound memory


class Background(NamedTuple):
    """Mean embeddings of speakers, by the language that they speak.

    means: (rows, D) of length-normalised embeddings, one row for each speaker and language.
    languages, speakers: (rows,).
    """

    means: np.ndarray
    languages: np.ndarray
    speakers: np.ndarray


def background(embeddings: np.ndarray, languages: np.ndarray, speakers: np.ndarray) -> Background:
    """The background of utterances: (n, D), their languages (n,) and speakers (n,).

    A speaker counts once in a language, however many utterances there are of him.

    Raises:
        LaspaError: vectors that are not finite.
    """
    if bad := int(np.count_nonzero(~np.isfinite(embeddings).all(axis=1))):
        raise LaspaError(
            f"background: {bad} of {len(embeddings)} embeddings hold NaN or infinity; leave them out"
        )
    pairs = np.array([languages, speakers], dtype=str)
    groups, number = np.unique(pairs, axis=1, return_inverse=True)
    return Background(group_means(length_normalised(embeddings.astype(np.float64)), number.ravel()), *groups)


def pair_norm(
    embeddings: np.ndarray,
    languages: np.ndarray,
    speakers: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    others: Background,
    least: int = LEAST_SPEAKERS,
) -> np.ndarray:
    """s − ½(e·μ_lang(t) + t·μ_lang(e)), where μ_l is the mean of the background's speakers of language l.

    Only the mean is taken away; there is no division by a deviation. Our choice, after AS-norm (Matějka et
    al., 2017) with a cohort of the other side's language. The two speakers of a trial are left out of its
    means, so the evaluated corpus may be its own background.

    Args:
        embeddings: (n, D); languages, speakers: (n,) of them.
        enroll, test: (trials,) rows of `embeddings`.
        others: the background, recorded like the trials.
        least: speakers that a language's mean needs.

    Returns:
        (trials,) float32.

    Raises:
        LaspaError: a language has fewer than `least` speakers besides those of a trial.
    """
    unit = length_normalised(embeddings.astype(np.float64))
    names = np.unique(languages[np.union1d(enroll, test)].astype(str))
    spoken = np.searchsorted(names, languages.astype(str)).clip(max=len(names) - 1)
    known = np.isin(others.languages, names)
    means, spoken_by = others.means[known], others.speakers[known]
    place = np.searchsorted(names, others.languages[known])
    in_language = (place == np.arange(len(names))[:, None]).astype(float)  # (languages, rows)
    near, count = unit @ (in_language @ means).T, in_language.sum(axis=1)
    # Row of the background that is utterance i's speaker in language l; the row behind the last is nobody's.
    row_of = {(one, int(number)): row for row, (one, number) in enumerate(zip(spoken_by, place, strict=True))}
    own = np.array(
        [[row_of.get((one, i), len(means)) for i in range(len(names))] for one in speakers.astype(str)]
    )
    means = np.append(means, np.zeros((1, unit.shape[1])), axis=0)

    def side(rows: np.ndarray, opposite: np.ndarray) -> np.ndarray:
        language = spoken[opposite]
        left_out = (
            own[rows, language],
            np.where(speakers[rows] == speakers[opposite], len(means) - 1, own[opposite, language]),
        )
        speakers_left = count[language] - sum((one < len(means) - 1).astype(float) for one in left_out)
        fewest = np.full(len(names), np.inf)
        np.minimum.at(fewest, language, speakers_left)
        if few := [f"{name} ({int(one)})" for name, one in zip(names, fewest, strict=True) if one < least]:
            raise LaspaError(
                f"pair norm: too few background speakers besides those of a trial in {', '.join(few)}; a "
                f"language needs {least} or more, recorded like the trials"
            )
        total = near[rows, language]
        for one in left_out:
            if (one < len(means) - 1).any():
                total = total - _dots(unit, means, rows, one)
        return np.asarray(total / speakers_left)

    normaliser = (side(enroll, test) + side(test, enroll)) / 2
    return np.asarray(cosine_scores(embeddings, enroll, test) - normaliser, dtype=np.float32)


def _dots(left: np.ndarray, right: np.ndarray, rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """left[rows[i]]·right[other[i]], (trials,)."""
    starts = range(0, len(rows), BLOCK)
    blocks = [np.einsum("ij,ij->i", left[rows[i : i + BLOCK]], right[other[i : i + BLOCK]]) for i in starts]
    return np.concatenate(blocks)
