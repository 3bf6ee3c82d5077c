"""HTML pages that load nothing from a network: one look for all, in the reader's light or dark colours."""

from typing import Any

import jinja2
from markupsafe import Markup

# Light and dark. The colours of lines can be told apart by colour-blind readers (after Okabe and Ito 2008)
# and have a contrast of 3:1 or more on their surface.
COLOURS = {
    "ink": ("#1c2430", "#e6e9ef"),
    "muted": ("#5a6575", "#9aa5b5"),
    "grid": ("#dde2e9", "#323b49"),
    "surface": ("#ffffff", "#171c24"),
    "blue": ("#0b66b3", "#62b0f0"),
    "orange": ("#c24e00", "#ff9a52"),
    "green": ("#00785a", "#3fc79a"),
    "purple": ("#8a4591", "#d493da"),
    "grey": ("#6b7686", "#8a95a5"),
}


def environment(package: str, **filters: Any) -> jinja2.Environment:
    """Where the templates of `package` find those that all pages share; values are escaped in HTML alone."""
    loaders = [jinja2.PackageLoader(package), jinja2.PackageLoader("laspa.report")]
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"cell": _cell, **filters}
    found.globals["colours"] = COLOURS
    return found


def _cell(text: str, word: str = "") -> Markup:
    """`12.3 (11.0–13.6)` with the interval in small print below, and a word beside the number."""
    value, _, rest = text.partition(" (")
    beside = Markup("<em>{}</em>").format(word) if word else ""
    small = Markup("<small>{}</small>").format(rest.rstrip(")")) if rest else ""
    return Markup("{}{}{}").format(value, beside, small)
