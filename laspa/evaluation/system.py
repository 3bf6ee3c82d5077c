"""A trained system on a split: everything reports/metrics.json says about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.evaluation.embedding import Embeddings, embed, embed_speakers
from laspa.evaluation.evaluate import METRICS, Rates, condition_masks, evaluate, list_metrics, measure
from laspa.evaluation.metadata import Metadata, manifest_metadata
from laspa.evaluation.pair_norm import background, pair_norm
from laspa.evaluation.probes import trained_language_probe
from laspa.evaluation.split import Split, embedding_rows, load_split, score_trials
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.params import Evaluate
from laspa.trials.lists import TrialList
from laspa.trials.splits import OTHER


@dataclass
class SystemEvaluation:
    """`metrics`: reports/metrics.json; `rates`: every rate, by group and part; `scores`: (trials,);
    `metadata`: of the trials' utterances."""

    metrics: dict[str, Any]
    rates: dict[str, dict[str, Rates | None]]
    scores: np.ndarray
    embeddings: Embeddings
    metadata: Metadata


def evaluate_system(
    model: Laspa,
    languages: list[str],
    split: Split,
    options: Evaluate,
    device: torch.device,
    calibration: Calibration | None = None,
    groupings: tuple[str, ...] = (),
) -> SystemEvaluation:
    """Embed a split, score its trials, and measure them.

    Args:
        languages: that the model's language head tells apart.
        calibration, groupings: see `evaluate`.
    """
    ids = split.features.utterance_ids
    embeddings = embed(model.to(device), split.features, ids, device)
    scores = score_trials(split.trials, split.name, ids, embeddings.speaker)
    metadata = manifest_metadata(split.trials, split.manifest)
    draws = options.bootstrap, options.seed
    rates = evaluate(split.trials, scores, metadata, *draws, calibration, groupings)
    metrics = list_metrics(rates, split.trials, split.name, metadata)
    probed = trained_language_probe(embeddings.speaker, ids, split.manifest, options.seed)
    spoken = split.manifest.set_index("utterance_id").loc[ids, "language"].to_numpy(dtype=str)
    seen = np.isin(spoken, languages)
    accuracy = None
    if embeddings.language_index is not None and seen.any():
        accuracy = float((np.array(languages)[embeddings.language_index[seen]] == spoken[seen]).mean())
    error = embeddings.squared_error
    metrics |= {
        "language_probe_accuracy": probed.accuracy,
        "language_probe_chance": probed.chance,
        "language_accuracy": accuracy,
        "mapc": embeddings.mapc(model.system.model.mapc),
        "mse": None if error is None else float(error.mean()),
        "added_parameters_percent": added_parameters_percent(model.parameter_counts()),
    }
    return SystemEvaluation(metrics, rates, scores, embeddings, metadata)


def evaluate_other(
    model: Laspa, data: Path, options: Evaluate, device: torch.device
) -> dict[str, tuple[dict[str, Any], TrialList, np.ndarray]]:
    """A trained model out of its corpus: `other`'s rates by condition, also with pair norm, its trials and
    their scores.

    Args:
        data: the folder with the tables of the pipeline.

    Returns:
        nothing where the corpora have no list `other`.
    """
    if not (data / "trials" / f"{OTHER}.parquet").exists():
        return {}
    split = load_split(data, OTHER)
    ids = split.features.utterance_ids
    embeddings = embed_speakers(model.to(device), split.features, ids, device)
    scores = score_trials(split.trials, split.name, ids, embeddings)
    measured = rates_of_list(split.name, split.trials, scores, split.manifest, options)
    measured["pair_norm"] = pair_norm_rates(split, ids, embeddings, options)
    return {OTHER: (measured, split.trials, scores)}


def pair_norm_scores(split: Split, utterance_ids: list[str], embeddings: np.ndarray) -> np.ndarray:
    """Scores of a split's trials, (trials,), with pair norm.

    The background of a trial is all speakers of the list but its two: it has to be recorded like the trials,
    and to speak languages that training has not.

    Raises:
        LaspaError: a language has too few speakers.
    """
    about = split.manifest.set_index("utterance_id").loc[utterance_ids]
    spoken, speakers = (about[name].to_numpy(dtype=str) for name in ("language", "speaker"))
    rows = embedding_rows(split.trials, split.name, utterance_ids)
    return pair_norm(embeddings, spoken, speakers, *rows, background(embeddings, spoken, speakers))


def pair_norm_rates(
    split: Split, utterance_ids: list[str], embeddings: np.ndarray, options: Evaluate
) -> dict[str, Any]:
    """The rates by condition of `pair_norm_scores`; none, and why, where a language has too few speakers."""
    try:
        scores = pair_norm_scores(split, utterance_ids, embeddings)
    except LaspaError as error:
        return {"conditions": {}, "not_measured": str(error)}
    metadata = manifest_metadata(split.trials, split.manifest)
    parts = {"conditions": condition_masks(split.trials, metadata)}
    found = measure(split.trials, scores, metadata, parts, None, options.bootstrap, options.seed)
    rates = found["conditions"].items()
    return {"conditions": {name: {key: one[key] for key in METRICS} for name, one in rates if one}}


def rates_of_list(
    name: str, trials: TrialList, scores: np.ndarray, manifest: pd.DataFrame, options: Evaluate
) -> dict[str, Any]:
    """The rates by condition of a list beside the test list, `omitted` conditions and what list it is."""
    metadata = manifest_metadata(trials, manifest)
    rates = evaluate(trials, scores, metadata, options.bootstrap, options.seed)
    metrics = list_metrics(rates, trials, name, metadata)
    return {key: metrics[key] for key in ("conditions", "omitted", "trial_list")}
