"""Metrics of the tiny profile beside what is expected of them.

python -m tests.regression.compare            run, print the table, end with 1 where a metric is outside
python -m tests.regression.compare --update   run, and take the values measured as the expected ones

expected.json holds, for each metric, where it stands, the value, the tolerance either way and
what it guards. Tolerances are wide enough for another processor's last bits, and narrow enough
for the sabotage of test_regression.py to be caught.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laspa.files import read_json, write_json
from tests.regression.tiny import make_tiny_project, run

EXPECTED = Path(__file__).with_name("expected.json")


@dataclass(frozen=True)
class Row:
    """One metric; `got` is None where the run has no such metric."""

    metric: str
    expected: float
    tolerance: float
    got: float | None
    guards: str

    @property
    def ok(self) -> bool:
        return self.got is not None and abs(self.got - self.expected) <= self.tolerance


def compare(folder: Path, expected: dict[str, Any]) -> list[Row]:
    """The rows of a finished run in `folder`."""
    return [
        Row(name, entry["expected"], entry["tolerance"], _look_up(folder, entry), entry["guards"])
        for name, entry in expected.items()
    ]


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'metric':<26} {'expected':>9} {'± tol.':>8} {'got':>9}  ok   guards"]
    for row in rows:
        got = "none" if row.got is None else f"{row.got:.4f}"
        verdict = "yes" if row.ok else "NO"
        lines.append(
            f"{row.metric:<26} {row.expected:>9.4f} {row.tolerance:>8.4f} {got:>9}  {verdict:<4} {row.guards}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.regression.compare", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--update", action="store_true", help="take the values measured as the expected ones")
    update = parser.parse_args().update
    expected = read_json(EXPECTED)
    with tempfile.TemporaryDirectory(prefix="laspa-") as folder:
        project = make_tiny_project(Path(folder))
        measure(project)
        rows = compare(project, expected)
    print(table(rows))
    if update:
        for row in rows:
            if row.got is None:
                sys.exit(f"error: the run has no {row.metric}")
            expected[row.metric]["expected"] = round(row.got, 6)
        write_json(EXPECTED, expected)
    elif not all(row.ok for row in rows):
        sys.exit(1)


def measure(project: Path) -> None:
    """The pipeline, the ablation, two cells of prefix lengths and heads, and the page with all of it."""
    run(project, "dvc", "repro")
    run(project, "dvc", "--cd", "studies/ablation", "repro")
    for prefix_len in ("0", "8"):
        cell = f"prefix-{prefix_len}-heads-2"
        run(project, "python", "-m", "pipelines.studies.run", "prefix_heads", cell)
    run(project, "python", "-m", "pipelines.studies.table", "prefix_heads")
    run(project, "dvc", "repro")


def _look_up(folder: Path, entry: dict[str, Any]) -> float | None:
    value = read_json(folder / entry["file"])
    for key in entry["path"].split("."):
        value = value[int(key)] if isinstance(value, list) else value.get(key)
        if value is None:
            return None
    return float(value)


if __name__ == "__main__":
    main()
