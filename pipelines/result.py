"""What `make repro` prints last: the comparison, where the report is, how to open the tracked runs."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from laspa.files import read_json
from laspa.report.summary import headliners
from laspa.report.text import counted, headline, left_out, takeaway
from laspa.trials.splits import OTHER
from pipelines import stage

SUMMARY, PAGE = Path("reports/summary.json"), Path("reports/index.html")


def main() -> None:
    print(result_text(read_json(SUMMARY)))


def result_text(summary: dict[str, Any]) -> str:
    """The result as aligned text: a row per condition and system, and a sentence to take home."""
    systems = [summary["systems"][name] for name in headliners(summary)]
    lists = {"": systems[0]["trial_list"]}
    if "trial_list" in (other := systems[0].get(OTHER) or {}):
        lists["; other voices: "] = other["trial_list"]
    rows = headline(summary)
    for above, row in reversed(list(pairwise(rows))):  # from the last, so that each label is there once
        if row[0] == above[0]:
            row[0] = ""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    budget = counted([system["epochs"] for system in systems], "epoch")
    lines = [
        "",
        "".join(
            f"{where}{found['trials']:,} trials of {found['speakers']} {found['name']} speakers"
            for where, found in lists.items()
        ),
        f"Each system: {budget}, {counted([len(system['seeds']) for system in systems], 'seed')}; "
        "95 % intervals over speakers",
        "",
        *("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
        "",
        *filter(None, [takeaway(summary)]),
        *(f"{label} left out: {why}" for label, why in left_out(summary).items()),
        "",
        f"Report   {PAGE}",
        "Runs     make ui",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
