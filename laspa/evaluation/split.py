"""What a dev or test split is measured with, and the device it is done on."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from laspa.errors import LaspaError
from laspa.features.store import FeatureStore
from laspa.manifest.tables import read_manifest, read_trials


@dataclass
class Split:
    """What a dev or test split is scored with."""

    name: str
    features: FeatureStore
    manifest: pd.DataFrame
    trials: pd.DataFrame


def load_split(data: Path, name: str) -> Split:
    """The dev or test split under the folder `data`: the utterances of its trials."""
    manifest = read_manifest(data / "manifest.parquet")
    trials = read_trials(data / "trials" / f"{name}.parquet")
    utterances = sorted(set(trials["enroll"]) | set(trials["test"]))
    return Split(name, FeatureStore(data / "features", utterances), manifest, trials)


def torch_device(name: str) -> torch.device:
    """The device that `train.device` names; `auto` is CUDA where there is one.

    Raises:
        LaspaError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise LaspaError("params.yaml: train.device is cuda but torch sees no CUDA device; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
