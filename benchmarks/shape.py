"""A corpus of VoxCeleb2's shape that is only numbers: its manifest, trial lists and features."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
VOXCELEB2 = 1_128_246  # utterances
SPEAKERS = 5_994
SHORTEST, MEAN_SECONDS, FRAMES_PER_SECOND, MELS = 4.0, 7.8, 100, 80
SHARD = 1024  # utterances


def corpus(rows: int) -> pd.DataFrame:
    """A manifest of VoxCeleb2's shape: one speaker in twenty in dev, one in test, four languages."""
    generator = np.random.default_rng(0)
    speakers = max(40, rows * SPEAKERS // VOXCELEB2)
    speaker = np.sort(generator.integers(speakers, size=rows))
    split = np.array(["dev", "test", *["train"] * 18])[np.arange(speakers) % 20]
    language = np.array(["en", "fr", "es", "de"])[np.minimum(3, generator.geometric(0.8, rows) - 1)]
    names = [f"id{number:06}" for number in range(speakers)]
    table = pd.DataFrame({"speaker": np.array(names)[speaker], "language": language})
    table["gender"], table["corpus"] = np.array(["f", "m"])[speaker % 2], "voxceleb2"
    table["split"] = split[speaker]
    table["path"] = [f"{names[who]}/{take:011x}/{take % 400:05}.m4a" for take, who in enumerate(speaker)]
    table.insert(0, "utterance_id", table["speaker"] + "/" + table["language"] + "/" + table["path"])
    table["sample_rate"] = np.int32(16_000)
    seconds = SHORTEST + generator.exponential(MEAN_SECONDS - SHORTEST, rows)
    table["num_samples"] = (16_000 * seconds).astype(np.int64)
    digits = generator.bytes(32 * rows).hex()
    table["sha256"] = [digits[64 * row : 64 * row + 64] for row in range(rows)]
    return table.sort_values("utterance_id", ignore_index=True)


def params() -> Any:
    """params.yaml of this repository, the LASPA system."""
    from laspa.params import load_params, with_overrides

    options = load_params(ROOT / "params.yaml").resolve("laspa")
    return with_overrides(
        options,
        {
            "corpus": "voxceleb2",
            "train.epochs": 1,
            "train.dev_every": 1,
            "train.threads": 1,
            "train.device": "cpu",
        },
    )


def make_features(folder: Path, utterances: int, frames: int | None = None) -> dict[str, Any]:
    """Write features, of so many frames each or as long as the utterances, manifest and trials."""
    from laspa.features.settings import mel_settings
    from laspa.features.store import UtteranceMel, shard_name, write_shard
    from laspa.trials.drawing import generate_trials
    from laspa.trials.lists import write_list

    manifest = corpus(utterances)
    data, settings = folder / "data", mel_settings(params().features)
    data.mkdir(parents=True)
    manifest.to_parquet(data / "manifest.parquet", index=False)
    lists = params().trials.model_copy(update={"per_group": 200})
    (data / "trials").mkdir()
    for split in ("dev", "test"):
        write_list(data / f"trials/{split}.parquet", generate_trials(manifest, split, lists))
    noise = np.random.default_rng(1).standard_normal((200_000, MELS), dtype=np.float32).astype(np.float16)
    lengths = np.minimum(manifest["num_samples"].to_numpy() * FRAMES_PER_SECOND // 16_000, len(noise) // 2)

    if frames is not None:
        lengths[:] = frames

    def mels(start: int) -> Iterator[UtteranceMel]:
        rows = range(start, min(start + SHARD, len(manifest)))
        for row, name in zip(rows, manifest["utterance_id"][start : start + SHARD], strict=True):
            first = row * 7919 % (len(noise) // 2)
            yield UtteranceMel(name, noise[first : first + lengths[row]])

    for number, start in enumerate(range(0, len(manifest), SHARD)):
        write_shard(data / "features" / shard_name(number), mels(start), settings)
    size = sum(file.stat().st_size for file in (data / "features").iterdir())
    return {
        "utterances": len(manifest),
        "gigabytes": size / 1e9,
        "hours": lengths.sum() / FRAMES_PER_SECOND / 3600,
    }
