"""A low-rank adapter on a frozen recogniser's embeddings, W = I + BA, on speakers that it was not trained on.

python benchmarks/low_rank.py EMBEDDINGS.parquet MANIFEST.csv

In each of SPLITS seven speakers are trained on; the others are the trials. Writes benchmarks/low_rank.json.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from people import eers

from laspa.evaluation.pair_norm import background, pair_norm
from laspa.evaluation.score_files import read_embeddings
from laspa.evaluation.scores import cosine_scores
from laspa.files import write_json
from laspa.manifest.tables import read_labels
from laspa.models.losses import AAMSoftmax
from laspa.trials.lists import rows_of

SPLITS, TRAINED, RANK, STEPS, RATE = 20, 7, 4, 100, 0.003  # our choice, not tuned


def adapter(
    vectors: np.ndarray, speakers: np.ndarray, languages: np.ndarray, loss: str, seed: int
) -> np.ndarray:
    """W, (D, D), of AAM-softmax over the speakers, or of a logistic loss of pairs of four conditions."""
    torch.manual_seed(seed)
    x, dim = torch.from_numpy(vectors).float(), vectors.shape[1]
    label = torch.from_numpy(np.unique(speakers, return_inverse=True)[1])
    spoken = torch.from_numpy(np.unique(languages, return_inverse=True)[1])
    down = (torch.randn(RANK, dim) / dim**0.5).requires_grad_()
    up = torch.zeros(dim, RANK, requires_grad=True)
    head, line = AAMSoftmax(dim, int(label.max()) + 1), torch.tensor([10.0, -3.0], requires_grad=True)
    optimizer = torch.optim.AdamW([down, up, line, *head.parameters()], lr=RATE)
    same, one = label[:, None] == label, spoken[:, None] == spoken
    upper = torch.ones_like(same).triu(1)
    kinds = [
        (same & one & upper, -1),
        (same & ~one & upper, -1),
        (~same & one & upper, 1),
        (~same & ~one & upper, 1),
    ]
    for _ in range(STEPS):
        y = F.normalize(x + x @ (up @ down).T)
        if loss == "aam":
            value = head(y, label, 0.2, 32.0)
        else:
            score = line[0] * y @ y.T + line[1]
            value = torch.stack([F.softplus(sign * score[mask]).mean() for mask, sign in kinds]).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return (torch.eye(dim) + up @ down).detach().numpy()


def main() -> None:
    ids, vectors = read_embeddings(sys.argv[1])
    table = read_labels(sys.argv[2], ("utterance_id", "speaker", "language"))
    place = rows_of(ids, table["utterance_id"].combine_chunks())
    speakers, languages = (np.asarray(table[name])[place].astype(str) for name in ("speaker", "language"))
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(np.unique(speakers))
        mine = np.isin(speakers, order[:TRAINED])
        test = np.flatnonzero(~mine)
        a, b = test[np.stack(np.triu_indices(len(test), 1))]
        target, same = speakers[a] == speakers[b], languages[a] == languages[b]
        others = background(vectors[mine], languages[mine], speakers[mine])
        scores = {
            "as it is": cosine_scores(vectors, a, b),
            "pair norm": pair_norm(vectors, languages, speakers, a, b, others),
        }
        for loss in ("aam", "pairs"):
            moved = vectors @ adapter(vectors[mine], speakers[mine], languages[mine], loss, seed).T
            scores[f"low rank, {loss}"] = cosine_scores(moved, a, b)
            others = background(moved[mine], languages[mine], speakers[mine])
            scores[f"low rank, {loss}, pair norm"] = pair_norm(moved, languages, speakers, a, b, others)
        for name, one in scores.items():
            for condition, rate in eers(one, target, same).items():
                found.setdefault(name, {}).setdefault(condition, []).append(rate)
    write_json(Path("benchmarks/low_rank.json"), found)
    for name, rates in found.items():
        print(f"{name:28}", *(f"{condition} {100 * np.mean(one):.2f}" for condition, one in rates.items()))


if __name__ == "__main__":
    main()
