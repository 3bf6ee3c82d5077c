"""The params of a study's own corpus, in a folder where the pipeline's stages then make it.

Usage: python -m pipelines.studies.corpus_params CORPUS, which is `ceiling` (the corpus that the ceiling of
studies/results is trained on) or LANGUAGE-PERSONAL-BILINGUAL, such as 1-0.5-0.2 (a corpus of studies/shifts:
strengths of the offset that speakers of a language share and of each speaker's own, and the share of
bilingual training speakers).
"""

import json
from pathlib import Path
from typing import Any

from laspa.corpora.catalogue import declared_by_params
from laspa.errors import LaspaError
from laspa.files import write_text
from laspa.params import load_params, with_overrides
from pipelines import stage

# A corpus that two cores make and learn in minutes; our choice.
SMALL = {"train_speakers": 100, "dev_speakers": 20, "test_speakers": 50, "train_utterances": 12}


def main() -> None:
    name, params = stage.argument("studies.corpus_params", "CORPUS"), load_params(stage.PARAMS_FILE)
    ceiling = name == "ceiling"
    if ceiling and not declared_by_params(params.corpora):
        raise LaspaError(
            f"params.yaml: corpus is {params.corpus}; the study's ceiling needs the synthetic one"
        )
    changes = params.study.ceiling.changes if ceiling else _shifted(name)
    source = "params.yaml: study.ceiling" if ceiling else "params.yaml"
    changed = with_overrides(params, changes | {"corpus": "synthetic"}, source)
    folder = Path("studies/results/ceiling") if ceiling else Path("studies/shifts/corpora", name)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / stage.PARAMS_FILE, json.dumps(changed.model_dump(), indent=1))  # JSON is YAML


def _shifted(cell: str) -> dict[str, Any]:
    try:
        language, personal, bilingual = map(float, cell.split("-"))
    except ValueError:
        raise LaspaError(f"shifts: {cell} should be three numbers with - between them") from None
    shifts = {"language_shift": language, "personal_shift": personal, "bilingual_share": bilingual}
    return {f"synthetic.{name}": value for name, value in (SMALL | shifts).items()}


if __name__ == "__main__":
    stage.run(main)
