"""What `make repro` prints last: the EERs, where the report is, how to open the tracked runs."""

from pathlib import Path
from typing import Any

from laspa.files import read_json
from laspa.report.summary import headliners
from laspa.report.text import LABELS, counted, findings, headline, left_out
from laspa.trials.conditions import CONDITIONS
from pipelines import stage

SUMMARY, TRAINING, PAGE = Path("reports/summary.json"), Path("reports/train.json"), Path("reports/index.html")


def main() -> None:
    print(result_text(read_json(SUMMARY), read_json(TRAINING)["epochs"]))


def result_text(summary: dict[str, Any], epochs: int) -> str:
    """The result as aligned text: one row per condition, one column per system and the trained model."""
    systems = {name: summary["systems"][name] for name in headliners(summary)}
    budgets = [
        f"{counted([found['epochs']], 'epoch')}, {counted([len(found['seeds'])], 'seed')}"
        for found in systems.values()
    ]
    rows = [
        ["EER in %, with 95 % interval", *(LABELS[name] for name in systems), "Trained model"],
        ["target / non-target language", *budgets, counted([epochs], "epoch")],
        *([CONDITIONS[name].label, *cells] for name, cells in headline(summary).items()),
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    trial_list = summary["trained"]["trial_list"]
    lines = [
        "",
        f"{trial_list['trials']:,} trials of {trial_list['speakers']} {trial_list['name']} speakers",
        "",
        *("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
        "",
        *findings(summary),
        *(f"{label} left out: {why}" for label, why in left_out(summary).items()),
        "",
        f"Report   {PAGE}",
        "Runs     make ui",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    stage.run(main)
