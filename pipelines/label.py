"""Stage label: a model finds the languages of recordings that come without one."""

from pathlib import Path

from laspa.manifest.index import locator, read_index
from laspa.manifest.language_labels import check_unlabelled, without_language, write_labels
from laspa.params import load_params
from pipelines import stage

RAW, LABELS = Path("data/raw"), Path("data/labels.parquet")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    root = stage.project_root()
    index = read_index(RAW)
    paths = without_language(index)
    rows: list[tuple[str, str, float | None]] = []
    if params.label.model == "none":
        if warning := check_unlabelled(index):
            print(warning)
    elif paths:
        # Imported here: with nothing to label, torch is not loaded.
        from laspa.manifest.language_id import label
        from laspa.models.device import torch_device

        weights = str(root / params.label.weights) if params.label.weights else ""
        options = params.label.model_copy(update={"weights": weights})
        rows = label(paths, locator(RAW, root), options, torch_device(params.train.device))
        sure = sum(confidence is not None and confidence >= options.threshold for _, _, confidence in rows)
        print(f"{len(rows)} of {len(index)} recordings came without a language, {sure} of them have one now")
    write_labels(LABELS, rows)


if __name__ == "__main__":
    stage.run(main)
