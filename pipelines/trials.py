"""Stage trials: dev and test trial lists under the language conditions, and the official lists."""

from pathlib import Path

import pandas as pd

from laspa.files import atomic_path
from laspa.manifest.index import LISTS_FOLDER
from laspa.manifest.tables import read_manifest
from laspa.params.params import load_params
from laspa.trials.drawing import generate_trials, official_trials
from pipelines import stage

MANIFEST, TRIALS = Path("data/manifest.parquet"), Path("data/trials")
OFFICIAL = Path("data/raw") / LISTS_FOLDER


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    manifest = read_manifest(MANIFEST)
    with atomic_path(TRIALS) as folder:
        folder.mkdir()
        for split in ("dev", "test"):
            trials = generate_trials(manifest, split, params.trials)
            trials.to_parquet(folder / f"{split}.parquet", index=False)
        for file in sorted(OFFICIAL.glob("*.parquet")):
            official = official_trials(file.stem, pd.read_parquet(file), manifest)
            if official is not None:
                official.to_parquet(folder / file.name, index=False)


if __name__ == "__main__":
    stage.run(main)
