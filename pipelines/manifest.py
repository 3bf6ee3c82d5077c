"""Stage manifest: one row per utterance, checked by decoding it; speakers split."""

import shutil
from pathlib import Path

import pandas as pd

from laspa.files import atomic_path
from laspa.manifest.build import build_manifest
from laspa.manifest.index import locator, read_index
from laspa.manifest.language_labels import with_labels
from laspa.params import load_params
from laspa.worker_processes import available_cores
from pipelines import stage

RAW, LABELS = Path("data/raw"), Path("data/labels.parquet")
MANIFEST, SKIPPED = Path("data/manifest.parquet"), Path("data/skipped.csv")
PARTIAL = Path("data/.partial/manifest")  # not an output, since DVC removes outputs before a stage runs


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    index = read_index(RAW)
    labelled, doubtful = with_labels(index, pd.read_parquet(LABELS), params.label.threshold)
    locate, workers = locator(RAW, stage.project_root()), available_cores()
    manifest, bad = build_manifest(labelled, params.corpora[0], params.manifest, locate, workers, PARTIAL)
    skipped = pd.concat([bad, doubtful])
    with atomic_path(SKIPPED) as temporary:
        skipped.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(MANIFEST) as temporary:
        manifest.to_parquet(temporary, index=False)
    shutil.rmtree(PARTIAL, ignore_errors=True)
    if len(skipped):
        print(f"{len(skipped)} of {len(index)} recordings skipped; {SKIPPED} says why")


if __name__ == "__main__":
    stage.run(main)
