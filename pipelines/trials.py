"""Stage trials: dev and test trial lists under the language conditions, and the official lists."""

from pathlib import Path

from laspa.files import atomic_path
from laspa.manifest.index import LISTS_FOLDER
from laspa.manifest.tables import copied_from, read_manifest
from laspa.params import load_params
from laspa.trials.drawing import generate_trials, official_trials
from laspa.trials.lists import official_lists, write_list
from laspa.trials.splits import OTHER, rows_of_split
from pipelines import stage

MANIFEST, SKIPPED = Path("data/manifest.parquet"), Path("data/skipped.csv")
TRIALS = Path("data/trials")
OFFICIAL = Path("data/raw") / LISTS_FOLDER


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    manifest = read_manifest(MANIFEST)
    drawn = ["dev", "test"] + [OTHER] * bool(len(rows_of_split(manifest, OTHER)))
    lists = {split: generate_trials(manifest, split, params.trials) for split in drawn}
    copies = copied_from(SKIPPED)
    for name, listed in official_lists(OFFICIAL).items():
        if (official := official_trials(name, listed, manifest, copies)) is not None:
            lists[name] = official
    with atomic_path(TRIALS) as folder:
        folder.mkdir()
        for name, trials in lists.items():
            write_list(folder / f"{name}.parquet", trials)


if __name__ == "__main__":
    stage.run(main)
