"""Great Expectations' results on disk and the pages made from them, readable without a network.

Great Expectations' own pages load styles, scripts and pictures from several servers, and without
them the first page stays empty. So what is external is taken out, one small stylesheet put in,
and the first page written here.
"""

import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig

SHOWN = 5  # failing rows that a user is shown
STYLE = Path(__file__).with_name("pages.css")
EXTERNAL = re.compile(
    r"<script.*?</script>|<style.*?</style>|<link[^>]*>|<img[^>]*>|<footer.*?</footer>|<!--.*?-->", re.DOTALL
)  # what a page loads, and what works only with what it loads

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data checks</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>Data checks</h1>
<p>What must hold of the manifest and of the features, and whether it did when last looked at.</p>
<table>
<thead><tr><th scope="col">Suite</th><th scope="col">Result</th><th scope="col">Expectations</th>
<th scope="col">Failing</th><th scope="col">When (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{failures}
</main>
</body>
</html>
"""


def context(results: Path, site: Path) -> Any:
    """Suites and results on disk, everything else in memory; nothing is sent anywhere, no bars."""

    def folder(path: Path, **options: str) -> dict[str, Any]:
        return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(path.resolve()), **options}

    def store(kind: str, backend: dict[str, Any]) -> dict[str, Any]:
        return {"class_name": kind, "store_backend": backend}

    memory = {"class_name": "InMemoryStoreBackend"}
    suites, validations = (
        folder(results / name, filepath_suffix=".json") for name in ("expectations", "validations")
    )
    configuration = DataContextConfig(
        stores={
            "expectations_store": store("ExpectationsStore", suites),
            "validation_results_store": store("ValidationResultsStore", validations),
            "checkpoint_store": store("CheckpointStore", memory),
            "validation_definition_store": store("ValidationDefinitionStore", memory),
        },
        expectations_store_name="expectations_store",
        validation_results_store_name="validation_results_store",
        checkpoint_store_name="checkpoint_store",
        data_docs_sites={"laspa": {**store("SiteBuilder", folder(site)), "show_how_to_buttons": False}},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return gx.get_context(project_config=configuration, mode="ephemeral")


def forget(results: Path, name: str) -> None:
    """Remove the suites and results of an earlier run whose names begin with `name`."""
    for store in ("expectations", "validations"):
        for old in (results / store).glob(f"{name}_*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def build(context: Any, site: Path) -> None:
    """Write the pages of all results in the store to `site`."""
    context.build_data_docs()
    shutil.rmtree(site / "static", ignore_errors=True)
    style = STYLE.read_text(encoding="utf-8")
    for page in site.rglob("*.html"):
        text = EXTERNAL.sub("", page.read_text(encoding="utf-8"))
        page.write_text(text.replace("</head>", f"<style>\n{style}</style>\n</head>"), encoding="utf-8")
    store = context.validation_results_store
    results = {key.expectation_suite_identifier.name: store.get(key) for key in store.list_keys()}
    rows, failures = _rows(results, site), _failures(results)
    index = INDEX.format(style=style, rows="\n".join(rows), failures="\n".join(failures))
    (site / "index.html").write_text(index, encoding="utf-8")


def found(result: ExpectationValidationResult) -> str:
    """What was found instead of what was expected: the first few rows, by their keys, and how many."""
    errors = result.exception_info or {}
    each = [errors] if "raised_exception" in errors else list(errors.values())
    messages = sorted({str(error["exception_message"]) for error in each if error.get("raised_exception")})
    if messages:
        return "; ".join(messages)
    rows = result.result.get("partial_unexpected_index_list")
    if not rows:
        return str(result.result.get("observed_value"))
    shown = [_row_text(row, result.result["unexpected_index_column_names"]) for row in rows[:SHOWN]]
    count = result.result["unexpected_count"]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return f"{count} of {result.result['element_count']} rows: {'; '.join(shown)}{more}"


def _row_text(row: dict[str, Any], key: list[str]) -> str:
    given = {name: "missing" if pd.isna(value) else value for name, value in row.items()}
    names = ", ".join(f"{name} {given[name]}" for name in key)
    values = ", ".join(f"{name}={value}" for name, value in sorted(given.items()) if name not in key)
    return f"{names} ({values})" if values else names


def _rows(results: dict[str, Any], site: Path) -> list[str]:
    """One row of the first page for each suite."""
    pages = {page.relative_to(site).parts[1]: page for page in site.glob("validations/*/*/*/*.html")}
    rows = []
    for suite, result in sorted(results.items()):
        link = pages[suite].relative_to(site).as_posix()
        mark, word = ("text-success", "holds") if result.success else ("text-danger", "fails")
        cells = [
            f'<a href="{escape(link, quote=True)}">{escape(suite)}</a>',
            f'<strong class="{mark}">{word}</strong>',
            result.statistics["evaluated_expectations"],
            result.statistics["unsuccessful_expectations"],
            str(result.meta["run_id"]["run_time"])[:16].replace("T", " "),
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return rows


def _failures(results: dict[str, Any]) -> list[str]:
    """A paragraph for each expectation that fails, as on the terminal."""
    paragraphs = []
    for suite, result in sorted(results.items()):
        for one in result.results:
            if not one.success:
                what = escape(f"{suite}: {one.expectation_config.description}")
                remedy = escape(str(one.expectation_config.notes))
                lines = f"found: {escape(found(one))}<br>remedy: {remedy}"
                paragraphs.append(f'<p><strong class="text-danger">{what}</strong><br>{lines}</p>')
    return paragraphs
