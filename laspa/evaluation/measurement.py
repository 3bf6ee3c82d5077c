"""A trained system on a split: everything reports/metrics.json says of it."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from laspa.evaluation.embedding import Embeddings, embed
from laspa.evaluation.evaluate import evaluate, probe_of_languages
from laspa.evaluation.split import Split
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.params import Evaluate


def evaluate_system(
    model: Laspa, languages: list[str], split: Split, options: Evaluate, device: torch.device
) -> tuple[dict[str, Any], pd.DataFrame, Embeddings]:
    """All metrics of a trained system on a split (reports/metrics.json), its scored trials and embeddings."""
    ids = split.features.utterance_ids
    embeddings = embed(model.to(device), split.features, ids, device)
    metrics, scores = evaluate(
        embeddings.speaker, ids, split.manifest, split.trials, split.name, options.bootstrap, options.seed
    )
    metrics |= probe_of_languages(embeddings.speaker, ids, split.manifest, options.seed)
    spoken = split.manifest.set_index("utterance_id").loc[ids, "language"].to_numpy(dtype=str)
    seen = np.isin(spoken, languages)
    accuracy = None
    if embeddings.language_index is not None and seen.any():
        accuracy = float((np.array(languages)[embeddings.language_index[seen]] == spoken[seen]).mean())
    error = embeddings.squared_error
    metrics |= {
        "language_accuracy": accuracy,
        "mapc": embeddings.mapc(model.system.model.mapc),
        "mse": None if error is None else float(error.mean()),
        "added_parameters_percent": added_parameters_percent(model.parameter_counts()),
    }
    return metrics, scores, embeddings
