"""The page of a sweep: one HTML file that opens without a network."""

from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from laspa.report.svg import css_variables, page_svg
from laspa.tuning.confirmation import confirmation_text
from laspa.tuning.importance import FEWEST_TRIALS, Importance

TITLES = {
    "parallel": ("Trials", "A line a trial, across the params that vary, to its lowest EER on dev."),
    "importance": ("What matters", "Permutation importance of each param, beside that of a random number."),
}
PERCENT = 100


def render(
    rows: list[dict[str, Any]],
    best: int,
    figures: dict[str, Figure],
    found: Importance | None,
    confirmed: dict[str, Any] | None = None,
) -> str:
    """The page as HTML: figures and the table of trials, best first."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("laspa.tuning"), jinja2.PackageLoader("laspa.report")])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    rank = {"finished": 0, "pruned": 1, "stopped": 2}
    ordered = sorted(rows, key=lambda row: (rank.get(row["status"], 3), row["dev_eer"] or 1.0, row["trial"]))
    return environment.get_template("sweep.html").render(
        css=Markup(loader.get_source(environment, "page.css")[0]),
        light=Markup(css_variables("light")),
        dark=Markup(css_variables("dark")),
        figures=[
            {"name": name, "title": TITLES[name][0], "text": TITLES[name][1],
             "svg": Markup(page_svg(figure, name, *TITLES[name]))}
            for name, figure in figures.items()
        ],
        rows=ordered,
        best=best,
        rate=next(row["dev_eer"] for row in rows if row["trial"] == best),
        importance=found,
        confirmed=None if confirmed is None else confirmation_text(confirmed),
        fewest=FEWEST_TRIALS,
        percent=PERCENT,
    )  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
