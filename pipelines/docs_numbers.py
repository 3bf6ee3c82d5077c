"""`make numbers`: README.md and docs/ say what the files say that the commands wrote.

A number stands after a mark that names its file, its place there and its format:

    The EER is <!-- reports/study.json systems.laspa.eer.cross_same.mean percent -->27.7 %.

No line begins with a mark (Markdown ends a paragraph there), and `?` stands for a number not yet written.

A block stands between `<!-- block NAME -->` and `<!-- end -->`; BLOCKS has the functions that write them.
docs/results.md, docs/replication.md and docs/images/result.svg are written whole.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import read_json, write_text
from laspa.params.loading import read_yaml
from laspa.report.figures import comparison
from laspa.report.page_figures import FIGURE_CONDITIONS
from laspa.report.summary import BASELINE, LASPA, PLUS
from laspa.report.svg import file_svg
from laspa.report.tables import places
from laspa.report.text import judged, percent, points_text, system_label
from laspa.trials.splits import OTHER
from pipelines import stage
from pipelines.result import SUMMARY, result_text
from pipelines.studies import replication_page, study_page
from pipelines.studies.shifts_table import TABLE as SHIFTS
from pipelines.studies.shifts_table import markdown as shifts_markdown
from pipelines.studies.study_page import SUMMARY as STUDY
from pipelines.studies.travel_table import TABLE as TRAVEL
from pipelines.studies.travel_table import markdown as travel_markdown

ADAPTING, FIGURE = Path("docs/adapting.md"), Path("docs/images/result.svg")
NUMBER = re.compile(
    r"(<!-- ([\w/.-]+\.(?:json|yaml)) (\S+) (\w+) -->)(\?|[−+]?\d(?:[\d.,]*\d)?(?: % (?:lower|higher))?)"
)
BLOCK = re.compile(r"(<!-- block (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
FORMATS: dict[str, Callable[[float], str]] = {
    "percent": percent,  # three digits
    "whole": lambda share: f"{100 * share:.0f}",  # per cent
    "relative": lambda share: f"{abs(100 * share):.0f} % {'lower' if share < 0 else 'higher'}",
    "points": lambda share: points_text({"mean": share, "low": None, "high": None}, ""),
    "count": lambda value: f"{value:,}",
    "number": lambda value: f"{value:.2f}",
}
# What was measured on real people: rows of the table in docs/adapting.md, before and after.
PEOPLE = ("none (as it is)", "`pair`")


def main() -> None:
    written = {page: renewed_page(page) for page in pages()}
    written |= {study_page.PAGE: study_page.page(), replication_page.PAGE: replication_page.page()}
    written |= {FIGURE: figure()}
    for file, text in written.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)
            print(f"Changed  {file}")


def renewed_page(page: Path) -> str:
    """What the page should say; a mark that names nothing is an error that names the page."""
    try:
        return renewed(page.read_text(encoding="utf-8"))
    except LaspaError as error:
        raise LaspaError(f"{page}: {error}") from None


def pages() -> list[Path]:
    """The pages with marks."""
    whole = {study_page.PAGE, replication_page.PAGE}
    return [Path("README.md"), *sorted(set(Path("docs").glob("*.md")) - whole)]


def renewed(text: str) -> str:
    """The text with the numbers and blocks that the files give.

    Raises:
        LaspaError: a mark names no such file, place, format or block.
    """

    def number(found: re.Match[str]) -> str:
        mark, file, path, form, _ = found.groups()
        if form not in FORMATS:
            raise LaspaError(f"{mark}: no such format; known are {', '.join(FORMATS)}")
        return mark + FORMATS[form](look_up(Path(file), path))

    def block(found: re.Match[str]) -> str:
        start, name, end = found.groups()
        if name not in BLOCKS:
            raise LaspaError(f"<!-- block {name} -->: no such block; known are {', '.join(BLOCKS)}")
        return f"{start}\n{BLOCKS[name]().strip()}\n\n{end}"

    return BLOCK.sub(block, NUMBER.sub(number, text))


def look_up(file: Path, path: str) -> Any:
    """What stands at a dotted path of a JSON or YAML file; `choices.0` is the first of a list."""
    found = _read(file.resolve())
    for key in path.split("."):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise LaspaError(f"{file} has no {path}") from None
    return found


@cache
def _read(file: Path) -> Any:
    return read_json(file) if file.suffix == ".json" else read_yaml(file)


def figure() -> str:
    """The comparison at home and on other voices, for README.md."""
    summary = read_json(SUMMARY)
    return file_svg(comparison(summary, FIGURE_CONDITIONS, places(summary)))


def result_block() -> str:
    """What `make repro` prints."""
    return f"```\n$ make repro\n…\n{result_text(read_json(SUMMARY)).strip()}\n```"


def findings() -> str:
    """What holds on people, on the embedded corpus and on other voices, a line each."""
    before, after = (_people(row) for row in PEOPLE)
    lines = [
        "- **Real people** (eleven bilingual students, embeddings of a public recogniser): pair norm"
        f" lowers the EER over all trials from {before} to {after} % ([how](docs/adapting.md))."
    ]
    study = read_json(STUDY)
    for place, about in {"": "The embedded corpus", OTHER: "Other voices"}.items():
        told = [_finding(study, name, place) for name in (LASPA, PLUS)]
        lines.append(f"- **{about}**, {study['seeds']} seeds: {' '.join(told)}")
    return "\n".join(lines)


def _finding(study: dict[str, Any], system: str, place: str) -> str:
    """One system beside the baseline at one place, over seeds."""
    ours, theirs = (study["systems"][name] for name in (system, BASELINE))
    if place:
        ours, theirs = ours[place], theirs[place]
    eers = " against ".join(percent(one["eer"]["cross_same"]["mean"]) for one in (ours, theirs))
    change = ours["difference"]["cross_same"]
    name = "LASPA as published" if system == LASPA else system_label(system)
    return f"{name} {judged([change])}, {eers} % EER: {points_text(change)}."


def _people(row: str) -> str:
    """The first number in the second column, all trials, of a row of the table in docs/adapting.md."""
    lines = ADAPTING.read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith(f"| {row}") and (found := re.match(r"[\d.]+", line.split("|")[2].strip())):
            return found[0]
    raise LaspaError(f"{ADAPTING}: no row that begins with {row}; PEOPLE in {__name__} names the rows")


def travel() -> str:
    """The systems away from home, by set, scoring and condition."""
    return travel_markdown(read_json(TRAVEL)["systems"])


def shifts() -> str:
    """Centring and warping by the strength of what is built into the corpus."""
    return shifts_markdown(read_json(SHIFTS))


BLOCKS = {"result": result_block, "findings": findings, "travel": travel, "shifts": shifts}

if __name__ == "__main__":
    stage.run(main)
