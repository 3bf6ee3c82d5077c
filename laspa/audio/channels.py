"""Whether the channels of a recording hold the same sound, or may hold two speakers."""

from collections.abc import Iterable

import numpy as np

ALIKE = 0.9  # correlation from which on two channels count as one source (our choice)
QUIET = 1e-4  # of the loudest channel's energy: one below, −40 dB, cannot hold a second speaker (our choice)


def correlation(blocks: Iterable[np.ndarray]) -> float:
    """The lowest of the first channel that is not quiet with each other such channel; 1 if none can be told.

    Args:
        blocks: (samples, channels) each.
    """
    products: np.ndarray | float = 0.0
    for block in blocks:
        products = products + block.T.astype(np.float64) @ block
    products = np.asarray(products)
    energy = np.diag(products)
    if not np.isfinite(energy).all() or not energy.any():
        return 1.0  # not finite, or silent: said elsewhere, with the reason
    heard = np.flatnonzero(energy > QUIET * energy.max())
    return float((products[heard[0], heard] / np.sqrt(energy[heard[0]] * energy[heard])).min())
