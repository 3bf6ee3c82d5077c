"""Stage download: bring the corpus's recordings and index under data/raw."""

import hashlib
from pathlib import Path

from laspa.corpora import folder, nisp, synthetic
from laspa.files import atomic_path
from laspa.params import Params, load_params
from pipelines import stage

RAW, PARTIAL = Path("data/raw"), Path("data/.partial")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    if params.corpus == "folder":
        folder.prepare(params.folder.paths, stage.project_root(), RAW)
        return
    if params.corpus == "nisp":
        nisp.prepare(params.download, stage.project_root(), RAW)
        return
    unfinished = PARTIAL / f"raw-{_digest(params)}"
    synthetic.prepare(params.synthetic, unfinished)
    with atomic_path(RAW) as temporary:
        unfinished.rename(temporary)


def _digest(params: Params) -> str:
    """Names the corpus that unfinished work belongs to."""
    return hashlib.sha256(params.synthetic.model_dump_json().encode()).hexdigest()[:16]


if __name__ == "__main__":
    stage.run(main)
