"""A project small enough to sweep in seconds, with nothing of a test split but its rows in the manifest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.features.store import MEL_DTYPE, UtteranceMel, write_shard
from laspa.params import load_params
from laspa.trials.drawing import generate_trials
from laspa.trials.lists import write_list
from tests.regression.tiny import FOREIGN_VARIABLES, ROOT, set_params

MELS, FRAMES = 12, 60
PARAMS = {
    "model.speaker_encoder": "tdnn_small",
    "model.embedding_dim": 16,
    "model.decoder_dim": 8,
    "train.batch_size": 8,
    "train.crop_seconds": 0.3,
    "train.device": "cpu",
    "tune.epochs": 3,
    "tune.grace_epochs": 1,
    "tune.trials": 4,
    "tune.retries": 1,
}


def make_tiny_sweep(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Params and data of a sweep under `folder`; the test split has rows in the manifest and nothing else."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    set_params(folder, PARAMS | (changes or {}))
    options = load_params(folder / "params.yaml")
    generator = np.random.default_rng(0)
    rows, mels = [], []
    for number in range(12):
        split = "train" if number < 6 else "dev" if number < 10 else "test"
        voice = generator.normal(size=MELS)
        for language in ("en", "fr"):
            accent = 0.5 * generator.normal(size=MELS)
            for take in range(4):
                name = f"s{number:02}/{language}/{take}"
                rows.append((name, f"s{number:02}", language, "fm"[number % 2], split))
                mels.append(voice + accent + generator.normal(size=(FRAMES, MELS)))
    columns = ["utterance_id", "speaker", "language", "gender", "split"]
    manifest = pd.DataFrame(rows, columns=columns).assign(corpus="tiny")
    data = folder / "data"
    (data / "trials").mkdir(parents=True)
    (data / "features").mkdir()
    manifest.to_parquet(data / "manifest.parquet", index=False)
    write_list(data / "trials/dev.parquet", generate_trials(manifest, "dev", options.trials))
    kept = (
        UtteranceMel(name, mel.astype(MEL_DTYPE))
        for name, mel, split in zip(manifest["utterance_id"], mels, manifest["split"], strict=True)
        if split != "test"
    )
    write_shard(data / "features/part-00000.parquet", kept, {"num_mels": MELS, "hop_ms": 10.0})
    return folder


def start_tune(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m pipelines.tune` in the project, its output one text."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_VARIABLES)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.tune"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tune(folder: Path, code: int = 0, **environment: str) -> str:
    """Run the stage to its end; its output.

    Raises:
        AssertionError: it ended with another status than `code`.
    """
    started = start_tune(folder, **environment)
    output, _ = started.communicate(timeout=300)
    assert started.returncode == code, output[-6000:]
    return output
