"""Stage cell of studies/shifts: where does the gain of centring and warping live?

A small corpus with the given strengths of the offset that speakers of a language share and of each speaker's
own, and the given share of bilingual training speakers; then the same systems on it.

Usage: python -m pipelines.shifts PART LANGUAGE-PERSONAL-BILINGUAL, such as systems 1-0.5-0.2. The part
`params` writes the corpus's params, in a folder where the pipeline's stages then make it; `systems` measures.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import write_text
from laspa.params import load_params, with_overrides
from pipelines import stage
from pipelines.systems import DEV_LOOKS, measure_seeds, on_budget, with_seeds

STUDY = Path("studies/shifts")
# A corpus that two cores make and learn in minutes; our choice.
SMALL: dict[str, Any] = {
    "train_speakers": 100,
    "dev_speakers": 20,
    "test_speakers": 50,
    "train_utterances": 12,
}
EPOCHS, SEEDS = 12, [1]
CENTRED, WARPED = {"model.centring": "language"}, {"train.warp": 0.04, "train.bend": 0.015}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("baseline", {}),
    "laspa": ("laspa", {}),
    "centred": ("laspa", CENTRED),
    "warped": ("laspa", WARPED),
    "centred and warped": ("laspa", CENTRED | WARPED),
}


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("params", "systems"):
        raise LaspaError("usage: python -m pipelines.shifts params|systems LANGUAGE-PERSONAL-BILINGUAL")
    part, cell = sys.argv[1:]
    work = STUDY / "corpora" / cell
    corpus = with_overrides(load_params(stage.PARAMS_FILE), corpus_of(cell))
    if part == "params":
        work.mkdir(parents=True, exist_ok=True)
        write_text(work / stage.PARAMS_FILE, json.dumps(corpus.model_dump(), indent=1))  # JSON is YAML
        return
    budget = {"train.epochs": EPOCHS, "train.dev_every": EPOCHS // DEV_LOOKS}
    for name, (system, changes) in VARIANTS.items():
        runs = with_seeds(with_overrides(on_budget(corpus, system), changes | budget), SEEDS)
        measure_seeds(name, f"shifts-{cell}", runs, work / "data", STUDY / "cells" / cell)
    shutil.rmtree(work)


def corpus_of(cell: str) -> dict[str, Any]:
    """The changes of params that make the corpus of a cell.

    Raises:
        LaspaError: not three numbers.
    """
    try:
        language, personal, bilingual = map(float, cell.split("-"))
    except ValueError:
        raise LaspaError(f"shifts: {cell} should be three numbers with - between them") from None
    shifts = {"language_shift": language, "personal_shift": personal, "bilingual_share": bilingual}
    return {f"synthetic.{name}": value for name, value in (SMALL | shifts).items()} | {"corpus": "synthetic"}


if __name__ == "__main__":
    stage.run(main)
