"""studies/replication.json and docs/replication.md, from what pipelines.studies.run measured.

Rows of the JSON that params.yaml no longer names stay: they were measured before their switch left the code.
"""

from pathlib import Path
from typing import Any

import numpy as np

from laspa.evaluation.split import load_split
from laspa.files import read_json, sha256_file, write_json, write_text
from laspa.params import load_params
from laspa.report.replication import merged, replication_page
from laspa.report.seeds import read_seeds
from pipelines import stage
from pipelines.studies.table import of_the_same_corpus

DATA, MEASURED = Path("data"), Path("studies/replication/systems")
TABLE, PAGE = Path("studies/replication.json"), Path("docs/replication.md")
BACKBONES = Path("studies/backbones.json")


def main() -> None:
    study, manifest = load_params(stage.PARAMS_FILE).replication, sha256_file(DATA / "manifest.parquet")
    before: dict[str, Any] = read_json(TABLE) if TABLE.exists() else {}
    changes = {name: {"system": one.system, **one.changes} for name, one in study.systems.items()}
    found = {
        "manifest_sha256": manifest,
        "mel_power": _mel_power(),
        "systems": of_the_same_corpus(before, manifest) | merged(read_seeds(MEASURED), changes),
        "left": before.get("left", {}),
    }
    write_json(TABLE, found)
    write_text(PAGE, page())
    print(PAGE.read_text(encoding="utf-8"))


def page() -> str:
    """The page of what the committed tables have."""
    return replication_page(read_json(TABLE), read_json(BACKBONES)["systems"])


def _mel_power() -> float:
    """The error of a decoder that rebuilds nothing: the mean square of the mels of dev."""
    features = load_split(DATA, "dev").features
    mels = (features.get(name).astype(np.float32) for name in features.utterance_ids)
    return float(np.mean([np.square(mel).mean() for mel in mels]))


if __name__ == "__main__":
    stage.run(main)
