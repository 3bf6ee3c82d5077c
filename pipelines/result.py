"""What `make repro` prints last: the comparison, where the report is, how to open the tracked runs."""

from itertools import chain, repeat
from pathlib import Path
from textwrap import fill
from typing import Any

from laspa.files import read_json
from laspa.report.summary import headliners
from laspa.report.tables import comparison, places
from laspa.report.text import PLACES, READING_ORDER, counted, left_out, percent, points_text, takeaway
from laspa.trials.splits import OTHER
from pipelines import stage

SUMMARY, PAGE = Path("reports/summary.json"), Path("reports/index.html")
WIDTH = 100  # columns
ONE_SEED = (
    "One seed: the intervals are over speakers alone, and with another seed a difference may turn round. "
    "docs/results.md has three seeds."
)
SHOWN = READING_ORDER[:4]  # without same / cross, the easiest; the page has all


def main() -> None:
    print(result_text(read_json(SUMMARY)))


def result_text(summary: dict[str, Any]) -> str:
    """The result as aligned text of at most WIDTH columns: a row per condition and system, and a sentence."""
    systems = [summary["systems"][name] for name in headliners(summary)]
    lists = {"": systems[0]["trial_list"]}
    if "trial_list" in (other := systems[0].get(OTHER) or {}):
        lists["; other voices: "] = other["trial_list"]
    shown = places(summary)
    rows = [["target /", "", *chain.from_iterable((PLACES[place], "") for place in shown)]]
    rows.append(["non-target", "system", *["EER %", "minus baseline, points"] * len(shown)])
    for group in comparison(summary, SHOWN):
        for label, (system, cells) in zip(chain([group.label], repeat("")), group.rows, strict=False):
            rows.append([label, system])
            for rate, change in cells:
                rows[-1] += [percent(rate["mean"]) if rate else "", points_text(change, "") if change else ""]
    widths = [max(len(cell) for cell in column) for column in zip(*rows[1:], strict=True)]
    budget = counted([system["epochs"] for system in systems], "epoch")
    sentences = [takeaway(summary), *(f"{label} left out: {why}" for label, why in left_out(summary).items())]
    lines = [
        "",
        "".join(
            f"{where}{found['trials']:,} trials of {found['speakers']} {found['name']} speakers"
            for where, found in lists.items()
        ),
        f"Each system: {budget}, {counted([len(system['seeds']) for system in systems], 'seed')}; "
        "95 % intervals over speakers",
        "",
        *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
        "",
        *(fill(sentence, WIDTH) for sentence in sentences if sentence),
        *([fill(ONE_SEED, WIDTH)] if all(len(system["seeds"]) == 1 for system in systems) else []),
        "",
        f"Report   {PAGE}",
        "Runs     make ui",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
