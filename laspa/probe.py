"""What a linear classifier reads out of embeddings that are meant not to hold it."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from laspa.scoring import length_normalised

HALVES = 2
REGULARISATION = 10.0  # inverse strength in scikit-learn's terms, on length-normalised vectors; our choice


def language_probe(
    embeddings: np.ndarray, language: np.ndarray, speaker: np.ndarray, seed: int
) -> tuple[float | None, float | None]:
    """Accuracy of a language classifier on speakers it was not trained on, and the chance level.

    Speakers are halved at random; a multinomial logistic regression is trained on each half and
    tested on the other. Chance is the share of the commonest language.

    Args:
        embeddings: (n, D).
        language, speaker: (n,) labels.

    Returns:
        (accuracy, chance), or (None, None) where there is one language, or not in both halves.
    """
    vectors = length_normalised(embeddings) * np.sqrt(embeddings.shape[1])
    names = np.unique(speaker)
    half = np.random.default_rng(seed).permutation(len(names)) % HALVES
    fold = half[np.searchsorted(names, speaker)]
    right = np.zeros(len(language), dtype=bool)
    for test in range(HALVES):
        train_rows, test_rows = fold != test, fold == test
        if len(np.unique(language[train_rows])) < 2 or not test_rows.any():
            return None, None
        classifier = LogisticRegression(C=REGULARISATION / embeddings.shape[1], max_iter=500)
        classifier.fit(vectors[train_rows], language[train_rows])
        right[test_rows] = classifier.predict(vectors[test_rows]) == language[test_rows]
    _, counts = np.unique(language, return_counts=True)
    return float(right.mean()), float(counts.max() / counts.sum())
