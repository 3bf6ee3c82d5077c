"""The figures of a sweep: every trial across its params, and how much each param matters."""

from typing import Any

from matplotlib.figure import Figure

from laspa.report.svg import BLUE, GREY, INK, MUTED, ORANGE, SURFACE, styled
from laspa.tuning.importance import CHANCE, Importance, position
from laspa.tuning.space import Dimension
from laspa.tuning.trial_files import FINISHED, Trial

WIDTH = 9.4  # inches
PERCENT = 100
LABELLED_CHOICES = 12  # on an axis
LINES: dict[str, dict[str, Any]] = {
    "best": {"color": ORANGE, "linewidth": 2.4},
    "whole budget": {"color": BLUE, "linewidth": 1.1},
    "stopped": {"color": GREY, "linewidth": 0.7},
}


@styled
def parallel_figure(dimensions: list[Dimension], trials: list[Trial], best: Trial) -> Figure:
    """One line per trial across its params to its EER on dev: finished, stopped early, and the best."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axis = figure.subplots()
    shown = [trial for trial in trials if trial.best is not None and trial.error is None]
    rates = [trial.best for trial in shown if trial.best is not None]
    low, high = min(rates), max(rates)
    last = len(dimensions)
    for trial in sorted(shown, key=lambda trial: (trial is best, trial.status == FINISHED)):
        assert trial.best is not None
        heights = [position(dimension, trial.values[dimension.name]) for dimension in dimensions]
        heights.append((trial.best - low) / (high - low) if high > low else 0.5)
        kind = "best" if trial is best else "whole budget" if trial.status == FINISHED else "stopped"
        axis.plot(range(last + 1), heights, alpha=1 if trial is best else 0.75, **LINES[kind])
    for place, dimension in enumerate(dimensions):
        axis.axvline(place, color=MUTED, linewidth=0.8, zorder=0)
        for height, text in _ticks(dimension):
            axis.text(place + 0.03, height, text, fontsize=7, color=INK, va="center", zorder=3)
    axis.axvline(last, color=MUTED, linewidth=0.8, zorder=0)
    for height, rate in ((0.0, low), (1.0, high)):
        axis.text(last + 0.03, height, f"{PERCENT * rate:.1f} %", fontsize=7, color=INK, va="center")
    axis.set_xticks(range(last + 1), [*(dimension.name for dimension in dimensions), "EER on dev"])
    axis.tick_params(axis="x", length=0)
    axis.set_yticks([])
    axis.set_xlim(-0.1, last + 0.35)
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    for label, style in LINES.items():
        axis.plot([], [], label=label, **style)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


@styled
def importance_figure(found: Importance) -> Figure:
    """One bar per param, beside that of noise."""
    figure = Figure(figsize=(WIDTH / 2, 0.7 + 0.27 * len(found.values)), layout="constrained")
    axis = figure.subplots()
    for row, (name, (mean, deviation)) in enumerate(found.values.items()):
        axis.barh(row, max(mean, 0), height=0.6, color=GREY if name == CHANCE else BLUE, edgecolor=SURFACE)
        axis.plot([max(mean - deviation, 0), mean + deviation], [row, row], color=INK, linewidth=1)
    axis.set_yticks(range(len(found.values)), list(found.values))
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel(f"drop in explained variance of the EER after {found.epoch} epochs")
    axis.grid(axis="y", visible=False)
    return figure


def _ticks(dimension: Dimension) -> list[tuple[float, str]]:
    if dimension.kind == "choice" and len(dimension.values) > LABELLED_CHOICES:
        return []
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in dimension.values]
    return [(position(dimension, value), text) for value, text in zip(dimension.values, texts, strict=True)]
