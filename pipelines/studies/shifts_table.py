"""What pipelines.studies.run measured as studies/shifts.json and as a figure, docs/images/shifts.svg."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from laspa.files import write_json, write_text
from laspa.report.seeds import over_seeds, read_seeds
from laspa.report.svg import INK, ORANGE, file_svg, styled
from pipelines import stage

CELLS, TABLE = Path("studies/shifts/cells"), Path("studies/shifts.json")
FIGURE = Path("docs/images/shifts.svg")
REFERENCE, CONDITION = "laspa", "cross_same"
PANELS = ("centred", "warped", "centred and warped")
USUAL_BILINGUAL = 0.2
DARKEST = 60.0  # per cent


def main() -> None:
    table = {cell.name: rates(cell) for cell in sorted(CELLS.iterdir())}
    write_json(TABLE, table)
    write_text(FIGURE, file_svg(figure(table)))


def rates(cell: Path) -> dict[str, Any]:
    """EER by system and condition, mean over seeds, of a corpus."""
    systems = over_seeds(read_seeds(cell))["systems"]
    return {
        name: {condition: found["eer"]["mean"] for condition, found in one["conditions"].items()}
        for name, one in systems.items()
    }


def gain(rates: dict[str, Any], system: str) -> float:
    """By how many per cent the EER cross/same is below that of LASPA as published."""
    return 100 * (1 - rates[system][CONDITION] / rates[REFERENCE][CONDITION])


def markdown(table: dict[str, Any]) -> str:
    """A row for each corpus: EER cross/same in per cent by system."""
    shown = ("baseline", REFERENCE, *PANELS)
    titles = ["`language_shift`", "`personal_shift`", "bilingual", *shown]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for cell, systems in sorted(table.items(), key=lambda one: [*map(float, one[0].split("-"))]):
        rates = [f"{100 * systems[name][CONDITION]:.1f}" for name in shown]
        lines.append(f"| {' | '.join([*cell.split('-'), *rates])} |")
    return "\n".join(lines)


@styled
def figure(table: dict[str, Any]) -> Figure:
    """Gain over LASPA by both offsets, one panel a switch; the last by the share of bilingual speakers."""
    places = {tuple(map(float, cell.split("-"))): found for cell, found in table.items()}
    drawn = Figure(figsize=(9.4, 2.7), layout="constrained")
    axes = drawn.subplots(1, len(PANELS) + 1)
    for axis, system in zip(axes, PANELS, strict=False):
        _map(
            axis,
            {(key[0], key[1]): gain(one, system) for key, one in places.items() if key[2] == USUAL_BILINGUAL},
        )
        axis.set_title(f"{system}: gain in %")
    for system, dashes in zip(PANELS, ((), (4, 2), (1, 1)), strict=True):
        shares = sorted((key[2], gain(one, system)) for key, one in places.items() if key[:2] == (1, 1))
        axes[-1].plot(*zip(*shares, strict=True), dashes=dashes or (None, None), color=ORANGE, label=system)
    axes[-1].set_xlabel("share of bilingual speakers")
    axes[-1].legend()
    return drawn


def _map(axis: Axes, gains: dict[tuple[float, float], float]) -> None:
    rows, columns = (sorted({key[place] for key in gains}) for place in (0, 1))
    values = np.array([[gains.get((row, column), np.nan) for column in columns] for row in rows])
    axis.imshow(values, cmap="RdBu", vmin=-DARKEST, vmax=DARKEST, origin="lower")
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if abs(value) > DARKEST / 2 else INK
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink)
    axis.set_xticks(range(len(columns)), [f"{one:g}" for one in columns])
    axis.set_yticks(range(len(rows)), [f"{one:g}" for one in rows])
    axis.set_xlabel("personal_shift")
    axis.set_ylabel("language_shift")
    axis.grid(visible=False)


if __name__ == "__main__":
    stage.run(main)
