"""Stages validate_manifest and validate_features: Great Expectations over one table each.

Usage: python -m pipelines.validate manifest|features

Writes a summary for DVC, data/validation/NAME.json, and the checks as HTML under
reports/data_docs (with times in it, so no output of the stage). A failing expectation ends the
stage with what failed, where and what to do; the HTML is there in either case.
"""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.run_identifier import RunIdentifier

from laspa.errors import LaspaError
from laspa.features.mel_statistics import utterance_statistics
from laspa.features.store import FeatureStore
from laspa.files import atomic_path, write_json
from laspa.manifest.tables import read_manifest, read_utterances
from laspa.params import Params, load_params
from pipelines import stage
from pipelines.checks import pages as data_docs
from pipelines.checks.expectations import Table, feature_tables, manifest_tables

MANIFEST, FEATURES = Path("data/manifest.parquet"), Path("data/features")
SUMMARIES = Path("data/validation")
RESULTS = Path("data/.gx")  # both stages' last results, from which the pages are made
DATA_DOCS = Path("reports/data_docs")


@dataclass(frozen=True)
class Outcome:
    """One expectation and what came of it, as Great Expectations has it."""

    table: Table
    result: ExpectationValidationResult

    @property
    def config(self) -> Any:
        """The expectation: type, kwargs, description, notes."""
        return self.result.expectation_config

    @property
    def success(self) -> bool:
        """Whether it holds."""
        return bool(self.result.success)


def main() -> None:
    """Validate the table that the command line names."""
    names = sys.argv[1:]
    if names not in (["manifest"], ["features"]):
        raise LaspaError(f"validate: {' '.join(names) or 'no table'} given; choose manifest or features")
    params = load_params(stage.PARAMS_FILE)
    outcomes = validate(names[0], TABLES[names[0]](params))
    failed = [outcome for outcome in outcomes if not outcome.success]
    if failed:
        raise LaspaError(explain(failed, len(outcomes)))
    write_json(SUMMARIES / f"{names[0]}.json", summary(outcomes))
    print(f"{names[0]}: {len(outcomes)} expectations hold; pages in {DATA_DOCS / 'index.html'}")


def _manifest(params: Params) -> list[Table]:
    return manifest_tables(read_manifest(MANIFEST), params)


def _features(params: Params) -> list[Table]:
    features = FeatureStore(FEATURES)
    utterances = read_utterances(MANIFEST, FEATURES)
    return feature_tables(utterance_statistics(features), features.settings, utterances, params)


TABLES = {"manifest": _manifest, "features": _features}


def validate(
    name: str, tables: list[Table], results: Path = RESULTS, pages: Path = DATA_DOCS
) -> list[Outcome]:
    """Run every suite, keep the results in `results` in place of `name`'s last ones, rebuild `pages`."""
    data_docs.forget(results, name)
    with atomic_path(pages) as site:
        context = data_docs.context(results, site)
        source = context.data_sources.add_pandas("laspa")
        outcomes = [outcome for table in tables for outcome in _run(context, source, table)]
        data_docs.build(context, site)
    return outcomes


def _run(context: Any, source: Any, table: Table) -> list[Outcome]:
    batch = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("all rows")
    expectations = [copy.copy(expectation) for expectation in table.expectations]  # a suite keeps its own
    suite = context.suites.add(gx.ExpectationSuite(name=table.name, expectations=expectations))
    definition = gx.ValidationDefinition(name=table.name, data=batch, suite=suite)
    results = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table.rows},
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": table.key,
            "partial_unexpected_count": data_docs.SHOWN,
        },
        run_id=RunIdentifier(run_name=table.name),
    )
    order = {expectation.description: place for place, expectation in enumerate(table.expectations)}
    outcomes = [Outcome(table, result) for result in results.results]
    return sorted(outcomes, key=lambda outcome: order[outcome.config.description])


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """What DVC keeps: which expectations hold over how many rows; no times, no ids of runs."""
    tables: dict[str, Any] = {}
    for outcome in outcomes:
        table = tables.setdefault(
            outcome.table.name, {"rows": len(outcome.table.rows), "success": True, "expectations": []}
        )
        table["success"] = table["success"] and outcome.success
        table["expectations"].append(
            {
                "expectation": outcome.config.type,
                "description": outcome.config.description,
                "arguments": {
                    key: value for key, value in outcome.config.kwargs.items() if key != "batch_id"
                },
                "success": outcome.success,
                "unexpected": outcome.result.result.get("unexpected_count", 0),
            }
        )
    return {"success": all(outcome.success for outcome in outcomes), "tables": tables}


def explain(failed: list[Outcome], total: int) -> str:
    """What a user is told: the expectation, the rows, the remedy, and where the page is."""
    lines = [f"{len(failed)} of {total} expectations fail; see {DATA_DOCS / 'index.html'}"]
    for outcome in failed:
        lines.append(f"  {outcome.table.name}: {outcome.config.description} ({outcome.config.type})")
        lines.append(f"    found: {data_docs.found(outcome.result)}")
        lines.append(f"    remedy: {outcome.config.notes}")
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
