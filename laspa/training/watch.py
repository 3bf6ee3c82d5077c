"""The checks of LASPA that are watched while it is trained, and the range that each should stay in."""

from typing import Any

from laspa.models.losses import mapc_floor
from laspa.params import Params

# Of the attention; beyond, the prefix or what it stands beside plays no part.
PREFIX_SHARE = (0.01, 0.99)
LEAST_FLOW = 1e-6  # of the gradient through a tuner, as a share of the whole gradient; our choice
LEAST_TERM = 1e-3  # of a term's gradient, of the largest term's; our choice


def out_of_range(record: dict[str, Any], params: Params) -> dict[str, str]:
    """What an epoch's record shows to be wrong, as one line by the name of the check.

    Args:
        record: of `laspa.training.loop`.
    """
    found = {}
    low, high = PREFIX_SHARE
    shares = record["attention"] if params.prefix_len else {}
    for side, share in shares.items():
        if not low <= share <= high:
            wrong = "collapsed onto the prefix" if share > high else "ignores the prefix"
            found[f"attention of the {side} tuner"] = f"{wrong}, which has {100 * share:.2g} % of it"
    for side, norm in record["flow"].items():
        if norm < LEAST_FLOW * record["grad_norm"]:
            found[f"gradient through the {side} tuner"] = f"{norm:.2g}; no loss reaches what it attends to"
    gradients = record["gradient"]
    for term, norm in gradients.items():
        if norm < LEAST_TERM * max(gradients.values()):
            largest = max(gradients, key=lambda name: gradients[name])
            found[f"gradient of {term}"] = f"{norm:.2g}, under a thousandth of that of {largest}"
    samples = {"batch": params.train.batch_size, "utterance": params.model.embedding_dim}
    reading, value = params.model.mapc, record["mapc"]
    if value is not None and reading in samples and value <= (floor := mapc_floor(samples[reading])):
        of = f"what independent embeddings have over {samples[reading]} values"
        found["mapc"] = f"{value:.3f} is at its floor, {floor:.3f}, {of}; there is nothing left that it sees"
    return found
