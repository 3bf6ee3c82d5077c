"""Stage download: bring the corpora's recordings and index under data/raw."""

import hashlib
from pathlib import Path

from laspa.corpora.prepare import prepare
from laspa.files import atomic_path
from laspa.params import Params, load_params
from pipelines import stage

RAW, PARTIAL = Path("data/raw"), Path("data/.partial")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    unfinished = PARTIAL / f"raw-{_digest(params)}"
    prepare(params, stage.project_root(), unfinished)
    with atomic_path(RAW) as temporary:
        unfinished.rename(temporary)


def _digest(params: Params) -> str:
    """Identifies the corpora that unfinished work belongs to."""
    sections = params.model_dump_json(include=set(params.corpora))
    return hashlib.sha256(sections.encode()).hexdigest()[:16]


if __name__ == "__main__":
    stage.run(main)
