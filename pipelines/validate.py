"""Stages validate_manifest and validate_features: Great Expectations over one table each.

Usage: python -m pipelines.validate manifest|features

Writes a summary for DVC, data/validation/NAME.json, and a page of all checks, reports/data_docs
(with times in it, so no output of the stage). A failing expectation ends the stage with what
failed, where and what to do; the page is there in either case.
"""

import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from laspa.errors import LaspaError
from laspa.features.mel_statistics import utterance_statistics
from laspa.features.store import FeatureStore
from laspa.files import atomic_path, read_json, write_json
from laspa.manifest.tables import read_manifest, read_utterances
from laspa.params import Params, load_params
from laspa.report.html import environment
from pipelines import stage
from pipelines.checks.expectations import Table, feature_tables, manifest_tables

MANIFEST, FEATURES = Path("data/manifest.parquet"), Path("data/features")
SUMMARIES = Path("data/validation")
RESULTS = Path("data/.gx")  # both stages' last results, from which the page is made
DATA_DOCS = Path("reports/data_docs")
SHOWN = 5  # failing rows that a user is shown


@dataclass(frozen=True)
class Outcome:
    """One expectation and what came of it; `rows` were looked at, `unexpected` of them do not fit."""

    suite: str
    rows: int
    expectation: str
    description: str
    remedy: str
    arguments: dict[str, Any]
    success: bool
    unexpected: int
    found: str


def main() -> None:
    """Validate the table that the command line names."""
    names = sys.argv[1:]
    if names not in (["manifest"], ["features"]):
        raise LaspaError(f"validate: {' '.join(names) or 'no table'} given; choose manifest or features")
    params = load_params(stage.PARAMS_FILE)
    outcomes = validate(names[0], _tables(names[0], params))
    if failed := [outcome for outcome in outcomes if not outcome.success]:
        raise LaspaError(explain(failed, len(outcomes)))
    write_json(SUMMARIES / f"{names[0]}.json", summary(outcomes))
    print(f"{names[0]}: {len(outcomes)} expectations hold; page in {DATA_DOCS / 'index.html'}")


def _tables(name: str, params: Params) -> list[Table]:
    if name == "manifest":
        return manifest_tables(read_manifest(MANIFEST), params)
    features = FeatureStore(FEATURES)
    utterances = read_utterances(MANIFEST, FEATURES)
    return feature_tables(utterance_statistics(features), features.settings, utterances, params)


def validate(
    name: str, tables: list[Table], results: Path = RESULTS, page: Path = DATA_DOCS
) -> list[Outcome]:
    """Run every suite, keep the outcomes in `results` in place of `name`'s last ones, write the page anew."""
    # All in memory; nothing is sent anywhere, and there are no progress bars.
    configuration = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(project_config=configuration, mode="ephemeral")
    outcomes = [outcome for table in tables for outcome in _run(context, table)]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    write_json(results / f"{name}.json", [asdict(outcome) | {"when": when} for outcome in outcomes])
    _write_page(results, page)
    return outcomes


def _write_page(results: Path, folder: Path) -> None:
    """Write `folder/index.html`, and nothing else there: every expectation of all that `results` holds."""
    suites: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*.json"), reverse=True):  # the manifest before the features
        for outcome in read_json(path):
            suites.setdefault(outcome["suite"], []).append(outcome)
    page = environment("pipelines.checks").get_template("data_checks.html").render(suites=suites)
    with atomic_path(folder) as site:
        site.mkdir()
        (site / "index.html").write_text(page, encoding="utf-8")


def _run(context: Any, table: Table) -> list[Outcome]:
    source = context.data_sources.add_pandas(table.name)
    batch = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("all rows")
    suite = context.suites.add(gx.ExpectationSuite(name=table.name, expectations=table.expectations()))
    definition = gx.ValidationDefinition(name=table.name, data=batch, suite=suite)
    results = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table.rows},
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": table.key,
            "partial_unexpected_count": SHOWN,
        },
    )
    order = list(table.checks)
    by_place = sorted(results.results, key=lambda one: order.index(one.expectation_config.description))
    return [_outcome(table, result) for result in by_place]


def _outcome(table: Table, result: ExpectationValidationResult) -> Outcome:
    config: Any = result.expectation_config
    return Outcome(
        suite=table.name,
        rows=len(table.rows),
        expectation=config.type,
        description=config.description,
        remedy=config.notes,
        arguments={key: value for key, value in config.kwargs.items() if key != "batch_id"},
        success=bool(result.success),
        unexpected=result.result.get("unexpected_count", 0),
        found=found(result),
    )


def found(result: ExpectationValidationResult) -> str:
    """What was found instead of what was expected: the first few rows, by their keys, and how many."""
    errors = result.exception_info or {}
    each = [errors] if "raised_exception" in errors else list(errors.values())
    messages = sorted({str(error["exception_message"]) for error in each if error.get("raised_exception")})
    if messages:
        return "; ".join(messages)
    details = result.result
    if "observed_value" in details:
        return str(details["observed_value"])
    count = details["unexpected_count"]
    rows = details.get("partial_unexpected_index_list") or []
    shown = [_row_text(row, details["unexpected_index_column_names"]) for row in rows[:SHOWN]]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return f"{count} of {details['element_count']} rows" + (f": {'; '.join(shown)}{more}" if shown else "")


def _row_text(row: dict[str, Any], key: list[str]) -> str:
    given = {name: "missing" if pd.isna(value) else value for name, value in row.items()}
    names = ", ".join(f"{name} {given[name]}" for name in key)
    values = ", ".join(f"{name}={value}" for name, value in sorted(given.items()) if name not in key)
    return f"{names} ({values})" if values else names


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """What DVC keeps: which expectations hold over how many rows; no times, no ids of runs."""
    kept = ("expectation", "description", "arguments", "success", "unexpected")
    tables: dict[str, Any] = {}
    for outcome in outcomes:
        empty = {"rows": outcome.rows, "success": True, "expectations": []}
        table = tables.setdefault(outcome.suite, empty)
        table["success"] = table["success"] and outcome.success
        table["expectations"].append({name: getattr(outcome, name) for name in kept})
    return {"success": all(outcome.success for outcome in outcomes), "tables": tables}


def explain(failed: list[Outcome], total: int) -> str:
    """What a user is told: the expectation, the rows, the remedy, and where the page is."""
    lines = [f"{len(failed)} of {total} expectations fail; see {DATA_DOCS / 'index.html'}"]
    for outcome in failed:
        lines.append(f"  {outcome.suite}: {outcome.description} ({outcome.expectation})")
        lines.append(f"    found: {outcome.found}")
        lines.append(f"    remedy: {outcome.remedy}")
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
