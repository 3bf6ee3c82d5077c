"""Stage label: languages of recordings that come without one, told by a model from their audio."""

from pathlib import Path

import pandas as pd

from laspa.manifest.index import locator
from laspa.manifest.language_labels import pass_unlabelled, unlabelled, write_labels
from laspa.params import load_params
from pipelines import stage

RAW, LABELS = Path("data/raw"), Path("data/labels.parquet")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    root = stage.project_root()
    index = pd.read_csv(RAW / "index.csv", dtype=str, keep_default_na=False)
    paths = unlabelled(index)
    rows: list[tuple[str, str, float | None]] = []
    if params.label.model == "none":
        if warning := pass_unlabelled(index):
            print(warning)
    elif paths:
        from laspa.manifest.language_id import (
            label,  # here, not above: with nothing to label no torch is loaded
        )
        from laspa.models.device import torch_device

        weights = str(root / params.label.weights) if params.label.weights else ""
        options = params.label.model_copy(update={"weights": weights})
        device = torch_device(params.train.device)
        rows = label(paths, locator(RAW, root), options, device)
        sure = sum(confidence is not None and confidence >= options.threshold for _, _, confidence in rows)
        print(f"{len(rows)} of {len(index)} recordings came without a language, {sure} of them have one now")
    write_labels(LABELS, rows)


if __name__ == "__main__":
    stage.run(main)
