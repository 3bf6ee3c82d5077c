"""Stage system of studies/replication: one reading of LASPA, measured on dev in every way that we know.

Usage: python -m pipelines.replicate NAME, one of `replication.systems` in params.yaml
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from laspa.errors import LaspaError
from laspa.evaluation.dependence import distance_correlation_of, mapc_by_batch_size
from laspa.evaluation.diagnostics import gradient_norms
from laspa.evaluation.embedding import Embeddings
from laspa.evaluation.probes import disentanglement
from laspa.evaluation.split import Split
from laspa.models.laspa import Laspa
from laspa.params import Params, load_params, with_overrides
from laspa.params.messages import unknown_choice
from laspa.training.batches import TrainingSet, batches
from pipelines import stage
from pipelines.systems import DEV_LOOKS, measure_seeds, on_budget, with_seeds

DATA, RESULTS = Path("data"), Path("studies/replication/systems")
GRADIENT_BATCH = 64  # training utterances whose gradients are measured


def main() -> None:
    name, params = stage.argument("replicate", "NAME"), load_params(stage.PARAMS_FILE)
    if name not in params.replication.systems:
        raise LaspaError(unknown_choice("replication.systems", name, params.replication.systems))
    runs = with_seeds(reading(params, name), params.replication.seeds)
    measure_seeds(name, "replicate", runs, DATA, RESULTS, "dev", inspect)


def reading(params: Params, name: str) -> Params:
    """The params of a system of `replication`, on the study's budget."""
    study = params.replication
    variant, epochs = study.systems[name], study.epochs
    system = with_overrides(on_budget(params, variant.system), variant.changes)
    budget = {"train.epochs": epochs, "train.dev_every": max(1, epochs // DEV_LOOKS)}
    return with_overrides(system, budget)


def inspect(
    params: Params, model: Laspa, data: TrainingSet, dev: Split, embeddings: Embeddings
) -> dict[str, Any]:
    """What the error rates do not say: probes of both embeddings, their dependence, each term's gradients."""
    seed = params.evaluate.seed
    kinds = {"speaker": embeddings.speaker, "language": embeddings.language}
    vectors = {name: values for name, values in kinds.items() if values is not None}
    found: dict[str, Any] = {
        "probe": disentanglement(vectors, embeddings.utterance_ids, dev.manifest, seed, {}),
        "gradients": gradient_norms(model, *_some(data, params)),
    }
    if embeddings.language is not None:
        found["mapc_by_batch_size"] = mapc_by_batch_size(embeddings.speaker, embeddings.language, seed)
        found["distance_correlation"] = distance_correlation_of(embeddings.speaker, embeddings.language)
    return found


def _some(data: TrainingSet, params: Params) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Crops of training utterances spread over the corpus, with their classes."""
    rows = np.linspace(0, len(data) - 1, GRADIENT_BATCH).astype(int)
    frames = round(params.train.crop_seconds * data.frames_per_second)
    (batch,) = batches(data, rows[None], frames, np.random.default_rng(params.seed))
    return batch.mel, batch.speaker, batch.language


if __name__ == "__main__":
    stage.run(main)
