"""docs/results.md and reports/study.json, from what pipelines.studies.run measured."""

from pathlib import Path
from typing import Any

from laspa.files import read_json, write_json, write_text
from laspa.manifest.tables import read_manifest
from laspa.params import load_params
from laspa.params.dotted import flatten, get
from laspa.params.loading import read_yaml
from laspa.report.results_page import CEILING, Measured, choices_summary, results_page, study_summary
from laspa.report.summary import PLUS
from laspa.trials.lists import read_trials
from pipelines import stage

DATA, RESULTS = Path("data"), Path("studies/results")
PAGE, SUMMARY = Path("docs/results.md"), Path("reports/study.json")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    measured = {name: Measured.read(RESULTS / "systems" / name) for name in (*params.study.systems, CEILING)}
    chosen_from = {name: Measured.read(RESULTS / "choices" / name) for name in params.study.choices}
    trials, manifest = read_trials(DATA / "trials/test.parquet"), read_manifest(DATA / "manifest.parquet")
    summary = study_summary(measured, trials, manifest, params.evaluate.seed)
    summary |= choices_summary(chosen_from, choice_changes(read_yaml(stage.PARAMS_FILE)))
    write_json(SUMMARY, summary)
    write_text(PAGE, results_page(read_json(SUMMARY)))  # as `make numbers` does, in the file's order
    print(PAGE.read_text(encoding="utf-8"))


def choice_changes(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By choice: what its system changes against laspa_plus, then what it changes itself.

    Args:
        values: of params.yaml, with the numbers as written there.
    """
    systems = {name: flatten(changes) for name, changes in values["systems"].items()}
    found = {}
    for name, choice in values["study"]["choices"].items():
        ours, plus = systems[choice["system"]], systems[PLUS]
        pairs = {key: [side.get(key, get(values, key)) for side in (ours, plus)] for key in plus | ours}
        found[name] = {key: value for key, (value, other) in pairs.items() if value != other}
        found[name] |= flatten({key: value for key, value in choice.items() if key != "system"})
    return found


if __name__ == "__main__":
    stage.run(main)
