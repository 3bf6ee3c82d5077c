"""What studies/adapt measured as one small file, and as the rows of a table in docs/adapting.md."""

from pathlib import Path
from typing import Any

from laspa.files import atomic_path, read_json, write_json
from pipelines import stage

SHOWN = ("all", "cross_cross", "cross_same", "same_same")  # as in laspa/backend/verdict.py
STUDY, FILE = Path("studies/adapt"), Path("studies/adapt.json")


def main() -> None:
    files = sorted((STUDY / "verdicts").glob("*.json"))
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        name, _, parts = file.stem.partition("-")
        found.setdefault(name, {})[parts] = read_json(file)
    write_json(FILE, found)
    with atomic_path(STUDY / "table.md") as temporary:
        temporary.write_text(table(found), encoding="utf-8")


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each set and the parts that were allowed: EER in %, and whether the backend is used."""
    lines = ["| set | parts allowed | " + " | ".join(SHOWN) + " | used |", "|---" * (len(SHOWN) + 3) + "|"]
    for name, verdicts in found.items():
        for allowed, verdict in verdicts.items():
            cells = [_cell(verdict["compared"].get(condition)) for condition in SHOWN]
            used = ", ".join(verdict["parts"]) if verdict["pays"] else "no"
            lines.append(f"| {name} | {allowed} | {' | '.join(cells)} | {used} |")
    return "\n".join([*lines, ""])


def _cell(one: dict[str, float] | None) -> str:
    """`4.98 → 1.73 (−5.49 to −1.66)`: before, after, and the interval of the change in points."""
    if one is None:
        return "–"
    first, second, low, high = (100 * one[key] for key in ("first", "second", "low", "high"))
    return f"{first:.2f} → {second:.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−")


if __name__ == "__main__":
    stage.run(main)
