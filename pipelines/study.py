"""`make results`: the comparison on the full budget, and docs/results.md, which is written from it.

Run after `dvc repro`, whose tables it reads. A study that was killed goes on from its finished seeds;
one whose params or data have changed starts anew.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import atomic_path, sha256_file, write_json, write_text
from laspa.manifest.tables import read_manifest
from laspa.params import Params, load_params, with_overrides
from laspa.report.results_page import CEILING, Measured, choices_summary, results_page, study_summary
from laspa.trials.lists import read_trials
from pipelines import stage
from pipelines.systems import measure_once

DATA, RESULTS = Path("data"), Path("data/.partial/results")
CHOICES = Path("data/.partial/choices")
CEILING_DATA = Path("data/.partial/ceiling")
DEV_LOOKS = 4  # of a run, for its best epoch
CORPUS_STAGES = ("download", "label", "manifest", "trials", "features")
PAGE, SUMMARY = Path("docs/results.md"), Path("reports/study.json")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    if params.corpora != ["synthetic"]:
        raise LaspaError(
            f"params.yaml: corpus is {params.corpus}; the study's ceiling needs the synthetic one"
        )
    budget = {"train.dev_every": max(1, params.train.epochs // DEV_LOOKS)}

    def by_seed(changes: dict[str, Any]) -> dict[int, Params]:
        return {
            seed: with_overrides(params, budget | changes | {"seed": seed}) for seed in params.study.seeds
        }

    short = {"train.epochs": params.study.choice_epochs, "train.dev_every": params.study.choice_epochs}
    for name, changes in params.study.choices.items():
        measure_once(name, "study", by_seed(changes | short), DATA, CHOICES, "dev")
    systems = {name: by_seed(changes) for name, changes in params.study.systems.items()}
    ceiling = by_seed(params.study.systems["baseline"] | params.study.ceiling)
    for name, runs in systems.items():
        measure_once(name, "study", runs, DATA, RESULTS, "test")
    _prepare_corpus(ceiling[params.study.seeds[0]])
    measure_once(CEILING, "study", ceiling, CEILING_DATA / "data", RESULTS, "test")
    measured = {name: Measured.read(RESULTS / name) for name in (*systems, CEILING)}
    chosen_from = {name: Measured.read(CHOICES / name) for name in params.study.choices}
    trials, manifest = read_trials(DATA / "trials/test.parquet"), read_manifest(DATA / "manifest.parquet")
    summary = study_summary(measured, trials, manifest, params.evaluate.seed)
    summary |= choices_summary(chosen_from, params.study.choices)
    write_json(SUMMARY, summary)
    write_text(PAGE, results_page(summary))
    print(PAGE.read_text(encoding="utf-8"))


def _prepare_corpus(params: Params) -> None:
    """Run the corpus's stages in a folder of their own; each goes on where it was."""
    CEILING_DATA.mkdir(parents=True, exist_ok=True)
    wanted = json.dumps(params.model_dump(), indent=1)  # JSON is YAML
    file = CEILING_DATA / stage.PARAMS_FILE
    if not file.exists() or file.read_text() != wanted:
        with atomic_path(file) as temporary:
            temporary.write_text(wanted)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    for name in CORPUS_STAGES:
        done, state = CEILING_DATA / f".{name}", sha256_file(file)
        if done.exists() and done.read_text() == state:
            continue
        command = [sys.executable, "-m", f"pipelines.{name}"]
        ended = subprocess.run(command, cwd=CEILING_DATA, env=environment, check=False)
        if ended.returncode:
            raise LaspaError(f"study: the ceiling's stage {name} failed; its message stands above")
        write_text(done, state)


if __name__ == "__main__":
    stage.run(main)
