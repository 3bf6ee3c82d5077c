"""A sampled AAM-softmax, Partial FC, as a prototype: the time and memory of a step, and its cost in EER.

python benchmarks/partial_fc.py [step] [eer]

A step's own classes are always taken, and random others up to a share of all (An et al., 2022).
`step`: forward, backward and update of the head alone, a process each, the best of three.
`eer`: the baseline on the embedded corpus, dev after the last epoch. Run it in a checkout whose pipeline has
run, with the environment variables of laspa/arithmetic.py.
Writes benchmarks/partial_fc.json, which docs/scaling.md shows.
"""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from memory import own_peak
from torch import Tensor

from laspa.files import write_json
from laspa.models.losses import AAMSoftmax

DATA, RESULT = Path("data"), Path("benchmarks/partial_fc.json")
BATCH, DIMENSION = 64, 192
CLASSES, SHARES, SEEDS = (6_000, 100_000, 1_000_000), (1.0, 0.3, 0.1), (1, 2, 3)
EPOCHS = 16


class PartialFC(AAMSoftmax):
    """AAM-softmax over the classes of a step and a random `share` of all; over all where it is 1.

    `sparse`: the gradient of the centres has the sampled rows alone; SparseAdam updates these alone.
    """

    def __init__(self, *sizes: int, share: float, sparse: bool = False) -> None:
        super().__init__(*sizes)
        self.share, self.sparse = share, sparse

    def forward(self, embedding: Tensor, label: Tensor, margin: float, scale: float) -> Tensor:
        if self.share == 1:
            return super().forward(embedding, label, margin, scale)
        taken = sampled(label, len(self.centres), self.share)
        rows = SimpleNamespace(centres=F.embedding(taken, self.centres, sparse=self.sparse), sub_centres=1)
        place = torch.searchsorted(taken, label)
        return AAMSoftmax.forward(cast(AAMSoftmax, rows), embedding, place, margin, scale)


def sampled(label: Tensor, classes: int, share: float) -> Tensor:
    """The classes of `label` and random others, share · classes together or more, sorted."""
    own = label.unique()
    drawn = torch.rand(classes)
    drawn[own] = 2.0
    return drawn.topk(max(len(own), round(share * classes))).indices.sort().values


def check() -> None:
    """Own classes are taken, what is not gets no gradient, and with all taken the loss is the whole one."""
    torch.manual_seed(0)
    head, vectors, label = PartialFC(8, 50, share=0.2), torch.randn(6, 8), torch.arange(6) * 7
    assert set(label.tolist()) <= set(sampled(label, 50, 0.2).tolist())
    head(vectors, label, 0.2, 30.0).backward()
    gradient = cast(Tensor, head.centres.grad)
    assert int((gradient.abs().sum(dim=1) > 0).sum()) == 10
    assert (gradient[label].abs().sum(dim=1) > 0).all()
    head.share = 0.9999
    assert head(vectors, label, 0.2, 30.0) == AAMSoftmax.forward(head, vectors, label, 0.2, 30.0)


def step(classes: int, share: float, sparse: bool) -> dict[str, float]:
    """Processor time of a step of the head alone, and the most memory of this process."""
    torch.set_num_threads(1)
    head = PartialFC(DIMENSION, classes, share=share, sparse=sparse)
    parameters = list(head.parameters())
    optimizer: torch.optim.Optimizer = (
        torch.optim.SparseAdam(parameters) if sparse else torch.optim.AdamW(parameters, fused=True)
    )
    vectors, seconds = torch.randn(BATCH, DIMENSION, requires_grad=True), []
    for label in torch.randint(classes, (4, BATCH)):
        start = time.process_time()
        head(vectors, label, 0.2, 30.0).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - start)
    return {"cpu_s": min(seconds[1:]), "peak_gib": own_peak()}


def time_steps() -> dict[str, Any]:
    """`step` of each number of classes and share."""
    found: dict[str, Any] = {}
    for classes in CLASSES:
        for share, sparse in [
            *((share, False) for share in SHARES),
            *((share, True) for share in SHARES[1:]),
        ]:
            command = [sys.executable, __file__, "--one", str(classes), str(share), str(int(sparse))]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            name = f"{classes} classes, share {share}" + (", sparse" if sparse else "")
            found[name] = json.loads(done.stdout)
            print(name, found[name], flush=True)
    return found


def error_rates() -> dict[str, Any]:
    """EERs on dev after the last epoch, by share and seed."""
    from laspa.models import laspa as system
    from laspa.params import load_params, with_overrides
    from laspa.training.run import load_training_data, train_system
    from pipelines.studies.measure import on_budget

    data = load_training_data(DATA)
    run = on_budget(load_params("params.yaml"), "baseline")
    found: dict[str, Any] = {"classes": len(data.train.speakers), "epochs": EPOCHS}
    head = AAMSoftmax
    for seed in SEEDS:
        for share in SHARES:
            system.AAMSoftmax = partial(PartialFC, share=share) if share < 1 else head  # type: ignore[misc, assignment]
            changes = {"seed": seed, "train.epochs": EPOCHS, "train.dev_every": EPOCHS, "train.device": "cpu"}
            with tempfile.TemporaryDirectory() as states:
                trained = train_system(with_overrides(run, changes), data, Path(states))
            for name, value in trained.history[-1]["dev"].items():
                found.setdefault(str(share), {}).setdefault(name, []).append(value)
            print(seed, share, trained.history[-1]["dev"], flush=True)
    for share in SHARES:
        print(share, {name: round(100 * float(np.mean(one)), 2) for name, one in found[str(share)].items()})
    return found


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        classes, share, sparse = sys.argv[2:]
        print(json.dumps(step(int(classes), float(share), sparse == "1")))
        return
    check()
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for part, measure in {"step": time_steps, "eer": error_rates}.items():
        if part in (sys.argv[1:] or ("step", "eer")):
            found[part] = measure()
            write_json(RESULT, found)


if __name__ == "__main__":
    main()
