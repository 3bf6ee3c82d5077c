"""What the covariances of speakers give: nuisance directions, whitening, two-covariance PLDA."""

import numpy as np

from laspa.evaluation.scores import group_means

DIRECTIONS = 4  # of within-speaker language differences, at most; measured (docs/adapting.md)
SHRINKAGE = 0.5  # of a covariance, towards a multiple of the identity; measured
SMALLEST = 1e-12  # variance; that of copies of one utterance is 0
HARD = 0.5  # share of the pairs of a class that count as hard; our choice
MOST_UTTERANCES, MOST_PAIRS = 2000, 20_000  # that PLDA compares, and of a class: they bound memory


def within(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Vectors minus their group's mean, (n, D)."""
    number = np.unique(groups, return_inverse=True)[1]
    return np.asarray(vectors - group_means(vectors, number)[number])


def directions(means: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """(k, D) orthonormal: where embeddings move with the language, main directions about a speaker's mean.

    Args:
        means: (rows, D), one row for each speaker and language. speakers: (rows,).
    """
    _, sizes, found = np.linalg.svd(within(means, speakers), full_matrices=False)
    rank = int((sizes > 1e-6 * max(sizes[0], 1e-12)).sum())
    return np.asarray(found[: min(DIRECTIONS, rank)])


def whitening(vectors: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """C^(−½), (D, D), where C is the covariance within speakers, shrunk by half to a multiple of the
    identity."""
    residual = within(vectors, speakers)
    return _inverse_root(_shrunk(residual.T @ residual / len(residual)))


def hard_plda(
    vectors: np.ndarray, languages: np.ndarray, speakers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two covariances, within speakers and between, of hard pairs.

    Differences of targets have the covariance 2W, those of non-targets 2(B + W). W is learnt of the half of
    the targets across languages (or of all targets, where no speaker has two) with the lowest cosines, B of
    the half of the non-targets of one language with the highest. After the hard pairs of TidyVoice 2026.

    Returns:
        (D, D) axes, along which the variance within speakers is 1, and (D,) the variances between.
    """
    kept = np.arange(len(vectors))[:: -(-len(vectors) // MOST_UTTERANCES)]
    vectors, languages, speakers = (column[kept] for column in (vectors, languages, speakers))
    one, other = np.triu_indices(len(vectors), k=1)
    target, same = speakers[one] == speakers[other], languages[one] == languages[other]
    cosine = (vectors @ vectors.T)[one, other]

    def covariance(mask: np.ndarray, sign: int) -> np.ndarray:
        rows = np.flatnonzero(mask)
        rows = rows[np.argsort(sign * cosine[rows])][: max(2, int(HARD * len(rows)))][:MOST_PAIRS]
        difference = vectors[one[rows]] - vectors[other[rows]]
        return _shrunk(difference.T @ difference / (2 * len(rows)))

    across = target & ~same
    root = _inverse_root(covariance(across if across.sum() > 1 else target, 1))
    values, axes = np.linalg.eigh(root @ covariance(~target & same, -1) @ root)
    return root @ axes, np.maximum(values - 1, 0)


def plda_weights(variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a and b, (D,) each, of the log likelihood ratio Σ a·x·y − ½·b·(x² + y²), up to a constant.

    a = ψ / (1 + 2ψ) and b = ψ² / ((1 + ψ)(1 + 2ψ)), where ψ are the variances between speakers and those
    within are 1: the ratio of two Gaussians (Ioffe, 2006; Brümmer and de Villiers, 2010).
    """
    return variances / (1 + 2 * variances), variances**2 / ((1 + variances) * (1 + 2 * variances))


def _shrunk(covariance: np.ndarray) -> np.ndarray:
    size = len(covariance)
    return np.asarray((1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size))


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(np.maximum(values, SMALLEST)) @ axes.T)
