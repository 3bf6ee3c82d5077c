"""What `make repro` prints last: the EERs, where the report is, how to open the tracked runs."""

from pathlib import Path
from typing import Any

from laspa.files import read_json
from laspa.report.summary import headliners, rate
from laspa.report.wording import CONDITION_LABELS, LABELS, findings, interval_text, trained_text
from pipelines import stage

SUMMARY, TRAINING, PAGE = Path("reports/summary.json"), Path("reports/train.json"), Path("reports/index.html")


def main() -> None:
    print(result_text(read_json(SUMMARY), read_json(TRAINING)["epochs"]))


def result_text(summary: dict[str, Any], epochs: int) -> str:
    """The result as aligned text: a row a condition, the systems beside each other and the trained model."""
    trained, systems = summary["trained"], headliners(summary)
    heads = [
        ("EER in %, with 95 % interval", "target / non-target language"),
        *((LABELS[system], _budget(summary, system)) for system in systems),
        ("Trained model", _counted(epochs, "epoch")),
    ]
    rows = [tuple(head[0] for head in heads), tuple(head[1] for head in heads)]
    for condition, label in CONDITION_LABELS.items():
        cells = [interval_text(rate(summary, system, condition)) for system in systems]
        cells.append(trained_text(trained["conditions"].get(condition)))
        if set(cells) != {"–"}:
            rows.append((label, *cells))
    trial_list = trained["trial_list"]
    lines = [
        "",
        f"{trial_list['trials']:,} trials of {trial_list['speakers']} {trial_list['name']} speakers",
        "",
        *_aligned(rows),
        "",
        *findings(summary),
        *(
            f"{CONDITION_LABELS.get(name, name)} left out: {why}"
            for name, why in (trained.get("omitted") or {}).items()
        ),
        "",
        f"Report   {PAGE}",
        "Runs     make ui",
    ]
    return "\n".join(lines)


def _budget(summary: dict[str, Any], system: str) -> str:
    found = summary["systems"][system]
    return f"{_counted(found['epochs'], 'epoch')}, {_counted(len(found['seeds']), 'seed')}"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


if __name__ == "__main__":
    stage.run(main)
