"""Stage features: the log-mels of every utterance of the manifest, as Parquet shards."""

from pathlib import Path

from laspa.corpora import resolve
from laspa.extraction import Utterance, extract
from laspa.params import load_params
from laspa.tables import read_manifest
from pipelines import stage

RAW = Path("data/raw")
MANIFEST = Path("data/manifest.parquet")
FEATURES = Path("data/features")
PARTIAL = Path(
    "data/.partial"
)  # not an output: DVC removes outputs before a stage runs, and this is to be kept


def main() -> None:
    """Extract what the manifest lists; a run that was killed goes on from its finished shards."""
    params = load_params(stage.PARAMS_FILE)
    manifest = read_manifest(MANIFEST)
    root = stage.project_root()
    paths = [resolve(params, RAW, root, path) for path in manifest["path"]]
    utterances = list(map(Utterance, manifest["utterance_id"], paths, manifest["sha256"]))
    extract(utterances, params.features, FEATURES, PARTIAL)


if __name__ == "__main__":
    stage.run(main)
