"""docs/results.md and reports/study.json, from what pipelines.studies.run measured."""

from pathlib import Path
from typing import Any

from laspa.files import read_json, write_json, write_text
from laspa.manifest.tables import read_manifest
from laspa.params import load_params
from laspa.params.dotted import flatten
from laspa.params.loading import read_yaml
from laspa.report.results_page import CEILING, choices_summary, read_measured, results_page, study_summary
from laspa.trials.lists import read_trials
from laspa.trials.splits import OTHER
from pipelines import stage
from pipelines.studies.travel_table import TABLE as TRAVEL
from pipelines.studies.travel_table import people_markdown

DATA, RESULTS = Path("data"), Path("studies/results")
PAGE, SUMMARY = Path("docs/results.md"), Path("reports/study.json")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    measured = {name: read_measured(RESULTS / "systems" / name) for name in (*params.study.systems, CEILING)}
    chosen_from = {name: read_measured(RESULTS / "choices" / name) for name in params.study.choices}
    files = {name: DATA / f"trials/{name}.parquet" for name in ("test", OTHER)}
    lists = {name: read_trials(path) for name, path in files.items() if path.exists()}
    summary = study_summary(measured, lists, read_manifest(DATA / "manifest.parquet"), params.evaluate.seed)
    summary |= choices_summary(chosen_from, choice_changes(read_yaml(stage.PARAMS_FILE)))
    write_json(SUMMARY, summary)
    write_text(PAGE, page())
    print(PAGE.read_text(encoding="utf-8"))


def page() -> str:
    """The page of what the committed tables have."""
    return results_page(read_json(SUMMARY), people_markdown(read_json(TRAVEL)["systems"]))


def choice_changes(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By choice: what its system and then it itself change in `values`, which are those of params.yaml."""
    found = {}
    for name, choice in values["study"]["choices"].items():
        own = {key: value for key, value in choice.items() if key != "system"}
        found[name] = flatten(values["systems"][choice["system"]]) | flatten(own)
    return found


if __name__ == "__main__":
    stage.run(main)
