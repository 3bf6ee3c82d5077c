"""The params of the corpus that the ceiling of `study` is trained on, in a folder of their own."""

import json
from pathlib import Path

from laspa.corpora.catalogue import declared_by_params
from laspa.errors import LaspaError
from laspa.files import write_text
from laspa.params import load_params, with_overrides
from pipelines import stage

FOLDER = Path("studies/results/ceiling")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    if not declared_by_params(params.corpora):
        raise LaspaError(
            f"params.yaml: corpus is {params.corpus}; the study's ceiling needs the synthetic one"
        )
    changes = params.study.ceiling.changes | {"corpus": "synthetic"}
    changed = with_overrides(params, changes, "params.yaml: study.ceiling")
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_text(FOLDER / stage.PARAMS_FILE, json.dumps(changed.model_dump(), indent=1))  # JSON is YAML


if __name__ == "__main__":
    stage.run(main)
