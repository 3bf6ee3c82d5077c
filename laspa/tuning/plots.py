"""The two figures of a sweep: every trial as a line across its params, and which params matter."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from laspa.report.svg import BLUE, GREY, INK, ORANGE, styled
from laspa.tuning.outcome import FINISHED, METRIC
from laspa.tuning.space import Changes

WIDTH = 9.4  # inches, as the report's wide figures
SHOWN_WORST = 0.75  # the quarter of the trials that did worst does not stretch the scale


@styled
def parallel_coordinates(table: pd.DataFrame, space: dict[str, list[object]], best: int) -> Figure:
    """One line a trial; the last axis is its dev EER, the best trial stands out.

    Args:
        table: see `outcome.table_of`; trials without an EER are not drawn.
        space: for each param the values of its axis: those of a list, or both ends of a range.
    """
    known = table.dropna(subset=[METRIC])
    names = [*space, METRIC]
    places = np.column_stack([_places(known[name], space.get(name)) for name in names])
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axis = figure.subplots()
    order = np.argsort(-known[METRIC].to_numpy())
    for row in order:
        trial = known.iloc[row]
        chosen, finished = trial["trial"] == best, trial["status"] == FINISHED
        colour = ORANGE if chosen else BLUE if finished else GREY
        axis.plot(
            range(len(names)),
            places[row],
            color=colour,
            linewidth=2.4 if chosen else 1.0,
            alpha=1.0 if chosen else 0.55,
            zorder=3 if chosen else 2 if finished else 1,
        )
    axis.set_xticks(range(len(names)), [*space, "EER on dev (%)"])
    axis.set_xlim(-0.1, len(names) - 0.6)
    axis.set_yticks([])
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.grid(axis="y", visible=False)
    for place, name in enumerate(names):
        _mark(axis, place, known[name], space.get(name), percent=name == METRIC)
    return figure


@styled
def importance_bars(shares: dict[str, float]) -> Figure:
    """Importance of each param as a bar, the largest on top."""
    names = list(shares)[::-1]
    figure = Figure(figsize=(WIDTH / 2, 0.8 + 0.3 * len(names)), layout="constrained")
    axis = figure.subplots()
    axis.barh(names, [100 * shares[name] for name in names], color=BLUE)
    axis.set_xlabel("importance (%)")
    axis.grid(axis="y", visible=False)
    return figure


def summary_of(space: Changes) -> dict[str, list[object]]:
    """Lists as they are, ranges as their two ends."""
    return {
        name: list(values) if isinstance(values, list) else [values.low, values.high]
        for name, values in space.items()
    }


def _places(column: pd.Series, ends: list[object] | None) -> np.ndarray:
    """Heights from 0 to 1 on an axis: values by rank of a list, numbers linearly or by their logarithm."""
    if ends is None or (len(ends) == 2 and all(isinstance(end, float) for end in ends)):
        values = column.to_numpy(dtype=float)
        low, high = (
            (values.min(), np.quantile(values, SHOWN_WORST) * 1.1)
            if ends is None
            else np.asarray(ends, dtype=float)
        )
        if low > 0 and high / low >= 10:
            values, low, high = np.log(values), np.log(low), np.log(high)
        return np.clip((values - low) / max(high - low, 1e-9), -0.1, 1.1)
    rank = {value: index for index, value in enumerate(ends)}
    known = [rank.get(value, 0) for value in column]
    return np.asarray(known) / max(len(ends) - 1, 1)


def _mark(axis: Axes, place: int, column: pd.Series, ends: list[object] | None, percent: bool) -> None:
    if percent:
        low = column.min()
        axis.text(place + 0.06, 0, f"{100 * low:.1f}", va="center", color=INK)
        return
    assert ends is not None
    for value in ends:
        height = _places(pd.Series([value]), ends)[0]
        axis.text(place + 0.04, height, f"{value}", va="center", fontsize=7, color=INK)
