"""Stage features: the log-mels of the manifest's utterances and their augmented copies, as Parquet shards."""

from pathlib import Path

from laspa.features.augmented_copies import plan_copies
from laspa.features.extraction import Utterance, extract
from laspa.manifest.index import locator
from laspa.manifest.tables import COPIES_FILE, read_manifest
from laspa.params import load_params
from pipelines import stage
from pipelines.ray.features import ray_engine

RAW = Path("data/raw")
MANIFEST = Path("data/manifest.parquet")
FEATURES = Path("data/features")
PARTIAL = Path("data/.partial")  # not an output, since DVC removes outputs before a stage runs


def main() -> None:
    """Extract what the manifest lists and the last run has not; a killed run resumes."""
    params = load_params(stage.PARAMS_FILE)
    manifest = read_manifest(MANIFEST)
    root = stage.project_root()
    locate = locator(RAW, root)
    paths = [locate(path) for path in manifest["path"]]
    utterances = list(map(Utterance, manifest["utterance_id"], paths, manifest["sha256"]))
    copies, rows = plan_copies(manifest, paths, params.features, params.augment, root)

    def list_copies(folder: Path) -> None:
        if copies:
            rows.to_parquet(folder / COPIES_FILE, index=False)

    engine = ray_engine if params.features.engine == "ray" else None
    everything = utterances + copies
    computed = extract(everything, params.features, FEATURES, PARTIAL, engine=engine, write_extra=list_copies)
    print(f"features: {len(everything)} utterances, {computed} computed, the others kept from the last run")


if __name__ == "__main__":
    stage.run(main)
