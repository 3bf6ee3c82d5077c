"""The page of the data checks: the last results of both validation stages, kept on disk until the next."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from laspa.files import atomic_path, read_json, write_json
from laspa.report.html import environment


def keep(results: Path, name: str, outcomes: list[dict[str, Any]]) -> None:
    """Write the outcomes of the suites of `name` in place of its last ones, with the time."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    write_json(results / f"{name}.json", [{**outcome, "when": when} for outcome in outcomes])


def write_page(results: Path, folder: Path) -> None:
    """Write `folder/index.html`, and nothing else there: every expectation of all that `results` holds."""
    suites: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(results.glob("*.json"), reverse=True):  # the manifest before the features
        for outcome in read_json(path):
            suites.setdefault(outcome["suite"], []).append(outcome)
    page = environment("pipelines.checks").get_template("data_checks.html").render(suites=suites)
    with atomic_path(folder) as site:
        site.mkdir()
        (site / "index.html").write_text(page, encoding="utf-8")
