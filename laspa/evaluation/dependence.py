"""How much the two embeddings of a model depend on each other, and what MAPC can see of it."""

import numpy as np
import torch

from laspa.models.losses import distance_correlation, mapc, mapc_floor

BATCH_SIZES = (16, 32, 64, 128, 256, 512, 1024)
DRAWS = 20  # batches of each size


def mapc_by_batch_size(speaker: np.ndarray, language: np.ndarray, seed: int) -> list[dict[str, float]]:
    """MAPC of batches drawn at random, by their size.

    Args:
        speaker, language: (utterances, embedding_dim).

    Returns:
        for each of BATCH_SIZES that there are utterances for: `paired`, of the embeddings as they are;
        `shuffled`, after each batch's language embeddings are put in random order, so that the two are
        independent; and `floor`, what independent embeddings have in theory.
    """
    generator = np.random.default_rng(seed)
    both = torch.from_numpy(speaker), torch.from_numpy(language)
    found = []
    for size in (size for size in BATCH_SIZES if size <= len(speaker)):
        paired, shuffled = [], []
        for _ in range(DRAWS):
            rows = generator.permutation(len(speaker))[:size]
            a, b = both[0][rows], both[1][rows]
            paired.append(float(mapc(a, b, "batch")))
            shuffled.append(float(mapc(a, b[generator.permutation(size)], "batch")))
        means = {"paired": float(np.mean(paired)), "shuffled": float(np.mean(shuffled))}
        found.append({"size": size, **means, "floor": mapc_floor(size)})
    return found


def distance_correlation_of(speaker: np.ndarray, language: np.ndarray) -> float:
    """`distance_correlation` over all utterances: 0 for independent embeddings."""
    return float(distance_correlation(torch.from_numpy(speaker), torch.from_numpy(language)))
