"""Were trials recorded like the speakers that a backend was learnt of? Told by how near they are."""

import numpy as np

from laspa.backend.parts import Fitted, Speech
from laspa.evaluation.pair_norm import background
from laspa.evaluation.scores import length_normalised

FARTHEST = 3.0  # deviations over speakers; our choice, measured (docs/adapting.md)


def closeness(speech: Speech) -> dict[str, tuple[float, float]]:
    """By language, mean and deviation over speakers of x·μ, with the speaker left out of μ."""
    groups = background(*speech)
    found = {}
    for language in np.unique(groups.languages).tolist():
        means = groups.means[groups.languages == language]
        if len(means) > 2:
            others = (means.sum(axis=0) - means) / (len(means) - 1)
            near = (means * others).sum(axis=1)
            found[language] = float(near.mean()), float(near.std(ddof=1))
    return found


def distances(
    fitted: Fitted, known: dict[str, tuple[float, float]], vectors: np.ndarray, spoken: np.ndarray
) -> dict[str, float]:
    """By language, how many deviations the mean of these utterances lies from the learnt speakers."""
    near = (length_normalised(vectors.astype(np.float64)) * (spoken @ fitted.means)).sum(axis=1)
    heard = np.array(fitted.languages)[spoken.argmax(axis=1)]
    return {
        name: (float(near[heard == name].mean()) - mean) / max(spread, 1e-6)
        for name, (mean, spread) in known.items()
        if (heard == name).any()
    }
