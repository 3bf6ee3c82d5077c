"""Scores of trials: cosine of the two embeddings."""

import numpy as np

BLOCK = 512  # trials at a time: both gathered blocks stay in the processor's cache
RANKS = 2**16  # numpy sorts integers of at most 16 bits by radix


def group_means(vectors: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(groups, D) float64: means of the rows of `vectors` (n, D) whose group `number` (n,) is 0, 1, …"""
    sums = np.zeros((number.max() + 1, vectors.shape[1]))
    np.add.at(sums, number, vectors)
    return np.asarray(sums / np.bincount(number)[:, None])


def length_normalised(embeddings: np.ndarray) -> np.ndarray:
    """`(n, D)` with rows of length one; a row of zeros stays."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(norms, np.finfo(embeddings.dtype).tiny)


def cosine_scores(embeddings: np.ndarray, enroll: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Cosines of `embeddings[enroll[i]]` and `embeddings[test[i]]`.

    Args:
        embeddings: (n, D).
        enroll, test: (trials,) row numbers.

    Returns:
        (trials,) float32.

    Raises:
        IndexError: a row number that is none.
    """
    for rows in (enroll, test):
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(embeddings):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(embeddings)} embeddings")
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    # Dividing a score costs less than writing down every normalised vector.
    # The square of the floor is still a number: two rows of zeros score 0.
    floor = np.sqrt(np.finfo(np.float32).tiny)
    length = np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), floor)
    # Trials of one enrolment together, so that a vector enrolled often comes from memory once. Nearly
    # in order is enough for that: sixteen bits are sorted by counting, in a tenth of the time.
    rank = enroll.astype(np.int64) * RANKS // len(vectors)
    order = np.argsort(rank.astype(np.uint16), kind="stable")
    one, other = enroll[order], test[order]
    products = np.empty(len(order), dtype=np.float32)
    sides = np.empty((2, BLOCK, vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(order), BLOCK):
        block = products[start : start + BLOCK]
        for rows, gathered in zip((one, other), sides, strict=True):
            # Any mode but "raise" writes straight into `out`; the rows are checked above.
            np.take(vectors, rows[start : start + BLOCK], axis=0, out=gathered[: len(block)], mode="clip")
        np.einsum("ij,ij->i", *sides[:, : len(block)], out=block)
    scores = np.empty_like(products)
    scores[order] = products / (length[one] * length[other])
    return scores
