"""The table of equals: by condition, each system's EER and its difference to the baseline's."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from laspa.report.summary import BASELINE, PAIR_NORM, Summary, difference, headliners, rate
from laspa.report.text import LABELS, PLACES, READING_ORDER, system_label
from laspa.trials.conditions import CONDITIONS


class Cell(NamedTuple):
    """A system's EER at one place, and how much it differs from the baseline's; None where unknown."""

    rate: dict[str, Any] | None
    change: dict[str, Any] | None


class Group(NamedTuple):
    """A condition, and of each system its label and a cell for each place."""

    label: str
    meaning: str
    rows: list[tuple[str, list[Cell]]]


def places(summary: Summary) -> list[str]:
    """The parts of the results that hold rates: the test split, and other voices where they were measured."""
    return [
        place
        for place in PLACES
        if any(
            rate(summary, name, condition, part=place)
            for name in summary["systems"]
            for condition in CONDITIONS
        )
    ]


def comparison(summary: Summary, conditions: Iterable[str] = READING_ORDER) -> list[Group]:
    """The systems by condition, with a cell for each of `places`.

    Conditions without rates are left out. Rates with pair norm, where there are any, are rows of their own.
    """
    groups, shown = [], places(summary)
    for condition in conditions:
        rows = []
        for norm in ("", PAIR_NORM):
            for system in headliners(summary):
                parts = [".".join(filter(None, (place, norm))) for place in shown]
                cells = [
                    Cell(
                        rate(summary, system, condition, part=part),
                        None if system == BASELINE else difference(summary, system, condition, part),
                    )
                    for part in parts
                ]
                if any(cell.rate for cell in cells):
                    rows.append((system_label(system, norm), cells))
        if rows:
            groups.append(Group(CONDITIONS[condition].label, CONDITIONS[condition].meaning, rows))
    return groups


def study_comparison(study: dict[str, Any]) -> list[Group]:
    """The same of reports/study.json: means over seeds, with one place."""
    systems = {name: found for name, found in study["systems"].items() if name in LABELS}
    groups = []
    for condition in (name for name in READING_ORDER if all(name in one["eer"] for one in systems.values())):
        rows = [
            (LABELS[name], [Cell(found["eer"][condition], found.get("difference", {}).get(condition))])
            for name, found in systems.items()
        ]
        groups.append(Group(CONDITIONS[condition].label, CONDITIONS[condition].meaning, rows))
    return groups
