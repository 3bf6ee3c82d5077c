"""Matplotlib figures as SVG: inside the page in its colours, light or dark, or as files on white.

Figures are drawn in the stand-in colours below. On the page each becomes a CSS variable, so that a
figure follows the reader's colour scheme; in a file it becomes the light scheme's colour.
"""

import io
import re
from functools import cache
from html import escape

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, GRID, SURFACE = "#010101", "#020202", "#030303", "#040404"
BLUE, ORANGE, GREEN, PURPLE, GREY = "#050505", "#060606", "#070707", "#080808", "#090909"

# Stand-in: CSS variable, colour in the light and in the dark scheme. The series' colours keep apart
# for colour-blind readers (after Okabe and Ito 2008) and have contrast 3:1 or more on their surface.
COLOURS = {
    INK: ("--ink", "#1c2430", "#e6e9ef"),
    MUTED: ("--muted", "#5a6575", "#9aa5b5"),
    GRID: ("--grid", "#dde2e9", "#323b49"),
    SURFACE: ("--surface", "#ffffff", "#171c24"),
    BLUE: ("--blue", "#0b66b3", "#62b0f0"),
    ORANGE: ("--orange", "#c24e00", "#ff9a52"),
    GREEN: ("--green", "#00785a", "#3fc79a"),
    PURPLE: ("--purple", "#8a4591", "#d493da"),
    GREY: ("--grey", "#6b7686", "#8a95a5"),
}
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "laspa",  # else identifiers are random
    "text.parse_math": False,  # names of speakers and languages are shown as they are
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


PAGE_SCALE = 1.6  # pixels a point, at most: text of 8 points is then 13 pixels high

styled = matplotlib.rc_context(STYLE)  # decorates every function that draws or saves a figure


def file_svg(figure: Figure) -> str:
    """A figure as the content of an SVG file: the light scheme's colours on white."""
    text = _render(figure)
    for stand_in, (_, light, _) in COLOURS.items():
        text = text.replace(stand_in, light)
    return re.sub(r"(<svg [^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', text, count=1)


def page_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an element of the page: named `name`, with a text alternative, scaled to its place."""
    text = _render(figure)
    for stand_in, (variable, _, _) in COLOURS.items():
        text = text.replace(stand_in, f"var({variable})")
    text = text[text.index("<svg ") :]
    view_box = re.search(r'viewBox="(0 0 ([0-9.]+) [^"]*)"', text)
    assert view_box, "matplotlib writes a view box"
    width = float(view_box[2])
    body = text[text.index(">") + 1 :]
    # Identifiers are unique within a figure only.
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    body = body.replace("xlink:href=", "href=")
    return (
        f'<svg viewBox="{view_box[1]}" style="max-width: {PAGE_SCALE * width:.0f}px" role="img" '
        f'aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-text">{escape(description)}</desc>{body}'
    )


def css_variables(scheme: str) -> str:
    """The colours of the `light` or `dark` scheme as CSS declarations."""
    return " ".join(
        f"{variable}: {light if scheme == 'light' else dark};" for variable, light, dark in COLOURS.values()
    )


@cache  # drawing takes a while, and each figure goes into the page and into a file
@styled
def _render(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
