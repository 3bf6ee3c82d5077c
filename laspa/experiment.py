"""One experiment: train a system with an eye on dev, then measure it on test."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from laspa.data import TrainingSet, training_set
from laspa.embedding import Embeddings, embed
from laspa.errors import LaspaError
from laspa.evaluation import evaluate
from laspa.features import FeatureStore
from laspa.files import sha256_file
from laspa.manifest import read_manifest
from laspa.metrics import eer
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.params import Evaluate, Params
from laspa.scoring import cosine_scores
from laspa.training import Record, Trained, train
from laspa.trials import read_trials


@dataclass
class Split:
    """What a dev or test split is scored with."""

    name: str
    features: FeatureStore
    manifest: pd.DataFrame
    trials: pd.DataFrame


@dataclass
class TrainingData:
    """Everything training reads; `digest` names its content."""

    train: TrainingSet
    dev: Split
    digest: str


def load_split(data: Path, name: str) -> Split:
    """The dev or test split under the folder `data`: the utterances of its trials."""
    manifest = read_manifest(data / "manifest.parquet")
    trials = read_trials(data / "trials" / f"{name}.parquet")
    utterances = sorted(set(trials["enroll"]) | set(trials["test"]))
    return Split(name, FeatureStore(data / "features", utterances), manifest, trials)


def load_training_data(data: Path) -> TrainingData:
    """The train split and the dev split under the folder `data`."""
    manifest = read_manifest(data / "manifest.parquet")
    utterances = manifest.loc[manifest["split"] == "train", "utterance_id"].tolist()
    features = FeatureStore(data / "features", utterances)
    digests = [features.digest, *(sha256_file(data / name) for name in ("manifest.parquet", "trials/dev.parquet"))]
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    return TrainingData(training_set(features, manifest), load_split(data, "dev"), digest)


def torch_device(name: str) -> torch.device:
    """The device that `train.device` names; `auto` is CUDA where there is one.

    Raises:
        LaspaError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise LaspaError("params.yaml: train.device is cuda but torch sees no CUDA device; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def state_digest(params: Params, data: TrainingData) -> str:
    """Names a training run by all that determines it, so that only the same run is gone on with."""
    what = params.model_dump(include={*type(params.system()).model_fields, "seed", "train"})
    return hashlib.sha256((json.dumps(what, sort_keys=True) + data.digest).encode()).hexdigest()[:16]


def train_system(
    params: Params, data: TrainingData, states: Path, on_epoch: Callable[[Record], None] = lambda record: None
) -> Trained:
    """Train what `params` describe; an interrupted run goes on from its state in the folder `states`."""
    device = torch_device(params.train.device)
    state_file = states / f"{state_digest(params, data)}.safetensors"
    trained = train(params, data.train, device, lambda model: dev_eers(model, data.dev, device), on_epoch, state_file)
    return trained


def dev_eers(model: Laspa, dev: Split, device: torch.device) -> dict[str, float]:
    """EER over targets across languages against non-targets within one, within one, and over all.

    The first of those that the corpus can have is what training is steered by.
    """
    embeddings = embed(model, dev.features, dev.features.utterance_ids, device)
    place = pd.Series(np.arange(len(embeddings.utterance_ids)), index=embeddings.utterance_ids)
    trials = dev.trials
    rows = place.loc[trials["enroll"]].to_numpy(), place.loc[trials["test"]].to_numpy()
    scores = cosine_scores(embeddings.speaker, *rows)
    target, same = trials["target"].to_numpy(dtype=bool), trials["same_language"].to_numpy(dtype=bool)
    pairs = {
        "eer_cross_same": (target & ~same, ~target & same),
        "eer_same_same": (target & same, ~target & same),
        "eer_all": (target, ~target),
    }
    return {
        name: float(eer(scores[targets], scores[nontargets]))
        for name, (targets, nontargets) in pairs.items()
        if targets.any() and nontargets.any()
    }


def evaluate_system(
    model: Laspa, languages: list[str], split: Split, options: Evaluate, device: torch.device
) -> tuple[dict[str, Any], pd.DataFrame, Embeddings]:
    """All metrics of a trained system on a split (reports/metrics.json), its scored trials and embeddings."""
    ids = split.features.utterance_ids
    embeddings = embed(model.to(device), split.features, ids, device)
    metrics, scores = evaluate(
        embeddings.speaker, ids, split.manifest, split.trials, split.name, options.bootstrap, options.seed
    )
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
