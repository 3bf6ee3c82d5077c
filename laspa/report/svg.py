"""Matplotlib figures as SVG: inside the page in its colours, light or dark, or as files on white.

Figures are drawn in the stand-in colours below. On the page each becomes a CSS variable, so that a
figure follows the reader's colour scheme; in a file it becomes the light scheme's colour.
"""

import io
import re
from dataclasses import dataclass
from functools import cache

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from laspa.report.html import COLOURS

STAND_INS = {name: f"#{3 * f'{place:02}'}" for place, name in enumerate(COLOURS, start=1)}
INK, MUTED, GRID, SURFACE, BLUE, ORANGE, GREEN, PURPLE, GREY = STAND_INS.values()
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "laspa",  # else identifiers are random
    "text.parse_math": False,  # names of speakers and languages are shown as they are
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 8),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("axes.grid", "axes.axisbelow"), True),
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}
PAGE_SCALE = 1.6  # pixels per point, at most: text of 8 points is then 13 pixels high

styled = matplotlib.rc_context(STYLE)  # decorates every function that draws or saves a figure


@dataclass
class PageFigure:
    """A figure and what its place on the page needs to know.

    description: the text alternative, which says what one would see; the caption where it is empty.
    more: what these results add to the caption. wide: takes the whole width of the page.
    """

    figure: Figure
    description: str = ""
    more: str = ""
    wide: bool = False


def file_svg(figure: Figure) -> str:
    """A figure as the content of an SVG file: the light scheme's colours on white."""
    text = _render(figure)
    for name, (light, _) in COLOURS.items():
        text = text.replace(STAND_INS[name], light)
    return re.sub(r"(<svg [^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', text, count=1)


def page_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """A figure as an element of the page: named `name`, with a text alternative, scaled to its place."""
    text = _render(figure)
    for colour, stand_in in STAND_INS.items():
        text = text.replace(stand_in, f"var(--{colour})")
    text = text[text.index("<svg ") :]
    view_box = re.search(r'viewBox="(0 0 ([0-9.]+) [^"]*)"', text)
    assert view_box, "matplotlib writes a view box"
    # Identifiers are unique within a figure only.
    body = re.sub(r'\bid="', f'id="{name}-', text[text.index(">") + 1 :])
    body = body.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    return Markup(
        '<svg viewBox="{}" style="max-width: {:.0f}px" role="img" aria-labelledby="{name}-title {name}-text">'
        '<title id="{name}-title">{}</title><desc id="{name}-text">{}</desc>{}'
    ).format(
        view_box[1],
        PAGE_SCALE * float(view_box[2]),
        title,
        description,
        Markup(body.replace("xlink:href=", "href=")),
        name=name,
    )


@cache  # drawing takes a while, and each figure goes into the page and into a file
@styled
def _render(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
