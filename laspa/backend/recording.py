"""Were trials recorded like the speakers that a backend was learnt of? Told by the scores' own statistics."""

import numpy as np

from laspa.backend.parts import Fitted
from laspa.evaluation.scores import length_normalised

FEWEST_SPEAKERS = 4  # in a language, for the second test; our choice
MOST_UTTERANCES = 1000  # of a language, whose pairs are compared


def recorded_otherwise(
    fitted: Fitted, vectors: np.ndarray, spoken: np.ndarray, speakers: np.ndarray | None = None
) -> list[str]:
    """What speaks against it, in words; empty where nothing does.

    Utterances should be nearer to the learnt speakers of their own language than to those of another one:
    where only one language's speakers were recorded otherwise, they are not. And speakers should not be
    nearer to each other than to the learnt ones of their language, by more than one deviation of their
    cosines; that needs names of `FEWEST_SPEAKERS` or more (our choices, measured in docs/adapting.md).

    Args:
        vectors: (n, D) of the trials' utterances. spoken: (n, languages). speakers: (n,), or None.
    """
    unit = length_normalised(vectors.astype(np.float64))
    near, heard = unit @ fitted.means.T, spoken.argmax(axis=1)
    found = []
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
