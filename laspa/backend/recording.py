"""Were trials recorded like the speakers that a backend was learnt of? Told by the scores' own statistics."""

import numpy as np

from laspa.backend.parts import Fitted, Speech
from laspa.evaluation.pair_norm import background
from laspa.evaluation.scores import length_normalised

FEWEST_SPEAKERS = 4  # in a language, for the second test; our choice
MOST_UTTERANCES = 1000  # of a language, whose pairs are compared
MOST_FAR = 0.5  # share of a list that is far away, from which on it is suspected; our choice
RARE = 0.01  # share of the learnt utterances that would be suspected; our choice


def usual_nearness(speech: Speech) -> float:
    """How near an utterance usually comes to the mean of other speakers of its language, at the least.

    Returns:
        the cosine that 1 % of these utterances do not reach, their own speaker left out; −1, which suspects
        nothing, where no language has two speakers.
    """
    groups = background(*speech)
    unit = length_normalised(speech.vectors.astype(np.float64))
    near = []
    for language in np.unique(groups.languages):
        mine = groups.languages == language
        means, names = groups.means[mine], groups.speakers[mine]
        if len(means) < 2:
            continue
        rows = np.flatnonzero(speech.languages == language)
        own = np.searchsorted(names, speech.speakers[rows])
        others = (means.sum(axis=0) - means[own]) / (len(means) - 1)
        near.append((unit[rows] * others).sum(axis=1))
    return float(np.quantile(np.concatenate(near), RARE)) if near else -1.0


def far_away(fitted: Fitted, usual: float, vectors: np.ndarray) -> np.ndarray:
    """(n,) whether utterances (n, D) come less near to the speakers of each language than `usual`."""
    return np.asarray((length_normalised(vectors.astype(np.float64)) @ fitted.means.T).max(axis=1) < usual)


def recorded_otherwise(
    fitted: Fitted,
    vectors: np.ndarray,
    spoken: np.ndarray,
    speakers: np.ndarray | None = None,
    usual: float = -1.0,
) -> list[str]:
    """What speaks against it, in words; empty where nothing does.

    Utterances should be nearer to the learnt speakers of their own language than to those of another one:
    where only one language's speakers were recorded otherwise, they are not. And speakers should not be
    nearer to each other than to the learnt ones of their language, by more than one deviation of their
    cosines; that needs names of `FEWEST_SPEAKERS` or more (our choices, measured in docs/adapting.md).

    Args:
        vectors: (n, D) of the trials' utterances. spoken: (n, languages). speakers: (n,), or None.
        usual: see `far_away`, which most utterances should not be.
    """
    unit = length_normalised(vectors.astype(np.float64))
    near, heard = unit @ fitted.means.T, spoken.argmax(axis=1)
    found = []
    if (far := float(far_away(fitted, usual, vectors).mean())) > MOST_FAR:
        found.append(f"{100 * far:.0f} % of them are further from those speakers than 1 % of their own")
    for number in np.unique(heard).tolist():
        rows, name = np.flatnonzero(heard == number), fitted.languages[number]
        means = near[rows].mean(axis=0)
        nearest = int(means.argmax())
        if nearest != number:
            found.append(f"{name} is nearer to the speakers of {fitted.languages[nearest]} than to its own")
        if speakers is None or len(np.unique(speakers[rows])) < FEWEST_SPEAKERS:
            continue
        rows = rows[:: -(-len(rows) // MOST_UTTERANCES)]
        others = speakers[rows, None] != speakers[rows]
        cosines = (unit[rows] @ unit[rows].T)[others]
        if cosines.mean() - means[number] > cosines.std():
            found.append(
                f"speakers of {name} are nearer to each other ({cosines.mean():.2f}) than to those "
                f"({means[number]:.2f})"
            )
    return found
