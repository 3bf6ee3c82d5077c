"""Tables of a corpus that is only numbers: six voices under noise, for what trains without the pipeline."""

from pathlib import Path

import numpy as np
import pandas as pd

from laspa.features.settings import mel_settings
from laspa.features.store import UtteranceMel, write_shard
from laspa.params import load_params

TAKES, FRAMES = 6, 60


class InMemory:
    """Log-mels one after the other, (all frames, mels), of these lengths, in place of a feature store."""

    def __init__(self, frames: np.ndarray, lengths: np.ndarray) -> None:
        self.frames, self.num_frames, self.num_mels = frames, lengths, frames.shape[1]

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """As `FeatureStore.crops`, by indices."""
        lengths, begin = (
            self.num_frames[rows, None],
            (np.cumsum(self.num_frames) - self.num_frames)[rows, None],
        )
        return self.frames[(first[:, None] + np.arange(frames)) % lengths + begin]


def write_tables(folder: Path, languages: tuple[str, ...]) -> None:
    """Features, manifest and dev trials under `folder`/data, as its params.yaml has the mels; no test split.

    Speakers 0 to 3 are for training, 4 and 5 for dev; all speak all languages.
    """
    params = load_params(folder / "params.yaml").features
    generator = np.random.default_rng(0)
    voice = generator.normal(size=(6, params.num_mels))
    ids = [
        (speaker, language, take) for speaker in range(6) for language in languages for take in range(TAKES)
    ]
    names = [f"{speaker}/{language}/{take}" for speaker, language, take in ids]
    rows = [
        UtteranceMel(
            name, (voice[speaker] + generator.normal(size=(FRAMES, params.num_mels))).astype(np.float16)
        )
        for name, (speaker, _, _) in zip(names, ids, strict=True)
    ]
    write_shard(folder / "data/features/part-00000.parquet", iter(rows), mel_settings(params))
    manifest = pd.DataFrame(
        {
            "utterance_id": names,
            "speaker": [f"s{speaker}" for speaker, _, _ in ids],
            "language": [language for _, language, _ in ids],
            "corpus": "made_up",
            "split": ["dev" if speaker >= 4 else "train" for speaker, _, _ in ids],
        }
    )
    manifest.to_parquet(folder / "data/manifest.parquet")
    dev = manifest[manifest["split"] == "dev"].reset_index(drop=True)
    one, other = (dev.iloc[side].reset_index(drop=True) for side in np.triu_indices(len(dev), 1))
    trials = pd.DataFrame({"enroll": one["utterance_id"], "test": other["utterance_id"]})
    trials["target"] = one["speaker"] == other["speaker"]
    trials["same_language"] = one["language"] == other["language"]
    trials = trials.assign(same_gender=True, unseen_language=False)
    (folder / "data/trials").mkdir()
    trials.to_parquet(folder / "data/trials/dev.parquet")
