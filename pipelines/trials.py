"""Stage trials: dev and test trial lists under the language conditions."""

from pathlib import Path

from laspa.files import atomic_path
from laspa.params import load_params
from laspa.tables import read_manifest
from laspa.trials import generate_trials
from pipelines import stage

MANIFEST, TRIALS = Path("data/manifest.parquet"), Path("data/trials")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    manifest = read_manifest(MANIFEST)
    with atomic_path(TRIALS) as folder:
        folder.mkdir()
        for split in ("dev", "test"):
            trials = generate_trials(manifest, split, params.trials)
            trials.to_parquet(folder / f"{split}.parquet", index=False)


if __name__ == "__main__":
    stage.run(main)
