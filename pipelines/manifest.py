"""Stage manifest: one row an utterance, checked by decoding it; speakers split."""

import os
from pathlib import Path

import pandas as pd

from laspa.files import atomic_path
from laspa.manifest import build_manifest
from laspa.params import load_params
from laspa.recordings import locator
from pipelines import stage

RAW, MANIFEST, SKIPPED = Path("data/raw"), Path("data/manifest.parquet"), Path("data/skipped.csv")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    index = pd.read_csv(RAW / "index.csv", dtype=str, keep_default_na=False)
    manifest, skipped = build_manifest(
        index,
        params.corpora[0],
        params.manifest,
        locator(RAW, stage.project_root()),
        workers=os.cpu_count() or 1,
    )
    with atomic_path(SKIPPED) as temporary:
        skipped.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(MANIFEST) as temporary:
        manifest.to_parquet(temporary, index=False)
    if len(skipped):
        print(f"{len(skipped)} of {len(index)} recordings skipped; {SKIPPED} says why")


if __name__ == "__main__":
    stage.run(main)
