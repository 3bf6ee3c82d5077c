"""The page of a sweep: one HTML file that opens without a network."""

from typing import Any

from matplotlib.figure import Figure

from laspa.report.html import environment
from laspa.report.svg import PageFigure, page_svg
from laspa.tuning.confirmation import confirmation_text
from laspa.tuning.importance import FEWEST_TRIALS, Importance
from laspa.tuning.trial_files import FINISHED, PRUNED, STOPPED

ORDER = {FINISHED: 0, PRUNED: 1, STOPPED: 2}  # of the rows, before the EER


def render(
    rows: list[dict[str, Any]],
    best: int,
    figures: dict[str, Figure],
    found: Importance | None,
    confirmed: dict[str, Any] | None = None,
) -> str:
    """The page as HTML: figures and the table of trials, best first."""
    template = environment("laspa.tuning", svg=page_svg).get_template("sweep.html")
    return template.render(
        figures={name: PageFigure(figure, wide=True) for name, figure in figures.items()},
        rows=sorted(rows, key=lambda row: (ORDER.get(row["status"], 3), row["dev_eer"] or 1.0, row["trial"])),
        best=best,
        rate=next(row["dev_eer"] for row in rows if row["trial"] == best),
        importance=found,
        confirmed=None if confirmed is None else confirmation_text(confirmed),
        fewest=FEWEST_TRIALS,
    )
