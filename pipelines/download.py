"""Stage download: bring the corpora's recordings and index under data/raw."""

import hashlib
from pathlib import Path

from laspa.corpora.prepare import prepare
from laspa.files import atomic_path
from laspa.params import load_params
from pipelines import stage

RAW, PARTIAL = Path("data/raw"), Path("data/.partial")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    sections = params.model_dump_json(include=set(params.corpora))  # that unfinished work belongs to
    unfinished = PARTIAL / f"raw-{hashlib.sha256(sections.encode()).hexdigest()[:16]}"
    prepare(params, stage.project_root(), unfinished)
    with atomic_path(RAW) as temporary:
        unfinished.rename(temporary)


if __name__ == "__main__":
    stage.run(main)
