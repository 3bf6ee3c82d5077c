"""The figures of the report, drawn with matplotlib: each function takes what it shows."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import norm

from laspa.report.analysis import DET_RATES, EmbeddingMap, det_curve, present_conditions, score_density
from laspa.report.summary import BASELINE, LASPA, PLUS, Summary, rate
from laspa.report.svg import BLUE, GREEN, GREY, GRID, INK, MUTED, ORANGE, PURPLE, SURFACE, styled
from laspa.report.wording import CONDITION_LABELS

NARROW, WIDE = 4.6, 9.4  # inches: half and all of the page's width
CONDITION_LINES: dict[str, tuple[str, Any]] = {
    "cross_same": (ORANGE, "-"),
    "same_same": (BLUE, "-"),
    "cross_cross": (PURPLE, (0, (5, 2))),
    "same_cross": (GREEN, (0, (2, 1.5))),
    "all": (GREY, (0, (1, 1))),
}
DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
LOSS_NAMES = {
    "aam": "speaker (AAM)",
    "nll": "language (NLL)",
    "mapc": "correlation (MAPC)",
    "mse": "reconstruction (MSE)",
    "grl": "reversed gradient (GRL)",
    "grad_norm": "gradient norm",
}
TERM_LINES: dict[str, tuple[str, Any]] = {
    "aam": (ORANGE, "-"),
    "nll": (PURPLE, (0, (5, 2))),
    "mapc": (GREEN, (0, (2, 1.5))),
    "mse": (GREY, "-"),
    "grl": (PURPLE, (0, (1, 1))),
}
DEV_LINES = {
    "eer_cross_same": ("cross / same", ORANGE, "o"),
    "eer_same_same": ("same / same", BLUE, "s"),
    "eer_all": ("all trials", GREY, "^"),
}
MARKERS = "os^Dv"
LINE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
LINE_SPREAD = 0.12  # of a place on the axis, between lines, so that intervals do not cover each other


@styled
def systems(summary: Summary, names: list[str], labels: dict[str, str]) -> Figure:
    """EER of every system, cross/same and same/same: mean, interval and each seed."""
    shown = [
        name for name in ("cross_same", "same_same") if any(rate(summary, system, name) for system in names)
    ]
    shown = shown or ["all"]
    figure, axes = _figure(WIDE, 0.9 + 0.27 * len(names), 1, len(shown), sharey=True)
    for axis, condition in zip(axes, shown, strict=True):
        for row, name in enumerate(names):
            found = rate(summary, name, condition)
            if found is None:
                continue
            colour = {BASELINE: BLUE, LASPA: ORANGE, PLUS: ORANGE}.get(name, GREY)
            if found["low"] is not None:
                axis.plot(
                    [100 * max(found["low"], 0), 100 * found["high"]], [row, row], color=colour, linewidth=2.2
                )
            values = [100 * value for value in found["values"]]
            axis.plot(values, [row] * len(values), "|", color=colour, markersize=8, markeredgewidth=1)
            axis.plot([100 * found["mean"]], [row], "o", color=colour, markersize=6, markeredgecolor=SURFACE)
        reference = rate(summary, BASELINE, condition)
        if reference is not None:
            axis.axvline(100 * reference["mean"], color=BLUE, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        axis.set_title(f"EER, {CONDITION_LABELS[condition]} (%)")
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(names)), [labels.get(name, name) for name in names])
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


@styled
def grid(cells: list[dict[str, Any]], condition: str) -> Figure:
    """EER on dev against prefix length, a line a head count, and the other way round, with intervals."""
    figure, axes = _figure(WIDE, 3.4, 1, 2, sharey=True)
    sides = (
        ("prefix_len", "num_heads", "prefix length (tokens)", "heads"),
        ("num_heads", "prefix_len", "heads", "prefix"),
    )
    for axis, (along, by, label, name) in zip(axes, sides, strict=True):
        places = sorted({cell[along] for cell in cells})
        lines = sorted({cell[by] for cell in cells})
        for index, line in enumerate(lines):
            shift = LINE_SPREAD * (index - (len(lines) - 1) / 2)
            row = sorted((cell for cell in cells if cell[by] == line), key=lambda cell: int(cell[along]))
            x = [places.index(cell[along]) + shift for cell in row]
            found = [cell["eer"][condition] for cell in row]
            mean = [100 * eers["mean"] for eers in found]
            colour, marker = LINE_COLOURS[index % len(LINE_COLOURS)], MARKERS[index % len(MARKERS)]
            axis.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.2, label=f"{line}")
            for place, eers in zip(x, found, strict=True):
                if eers["low"] is not None:
                    ends = [100 * max(eers["low"], 0), 100 * eers["high"]]
                    axis.plot([place, place], ends, color=colour, linewidth=1, alpha=0.7)
        axis.set_xticks(range(len(places)), [str(place) for place in places])
        axis.set_xlabel(label)
        axis.grid(axis="x", visible=False)
        axis.legend(title=name, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(lines))
    axes[0].set_ylabel(f"EER on dev, {CONDITION_LABELS[condition]} (%)")
    return figure


@styled
def det(scores: pd.DataFrame) -> Figure:
    """Detection error trade-off (Martin et al. 1997): both axes under the normal distribution's quantiles."""
    figure, (axis,) = _figure(NARROW, 4.6)
    axis.plot(norm.ppf([0.0005, 0.6]), norm.ppf([0.0005, 0.6]), color=GRID, linewidth=1)
    separated = True
    for condition, target, nontarget in present_conditions(scores):
        colour, line = CONDITION_LINES[condition]
        miss = det_curve(target, nontarget)
        label = CONDITION_LABELS[condition]
        axis.plot(norm.ppf(DET_RATES), norm.ppf(miss), color=colour, linestyle=line, label=label)
        separated &= bool(np.isnan(miss).all())
    if separated:
        axis.text(0.5, 0.55, "no errors at these rates", ha="center", transform=axis.transAxes, color=MUTED)
    ticks = norm.ppf(DET_TICKS)
    labels = [f"{100 * tick:g}" for tick in DET_TICKS]
    axis.set_xticks(ticks, labels)
    axis.set_yticks(ticks, labels)
    axis.set_xlim(norm.ppf(0.0005), norm.ppf(0.6))
    axis.set_ylim(norm.ppf(0.0005), norm.ppf(0.6))
    axis.set_xlabel("false acceptances (%)")
    axis.set_ylabel("misses (%)")
    axis.set_aspect("equal")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def histograms(scores: pd.DataFrame) -> Figure:
    """Distribution of the scores of targets and non-targets, within a language and across languages."""
    figure, (axis,) = _figure(NARROW, 4.6)
    score, target = scores["score"].to_numpy(), scores["target"].to_numpy(dtype=bool)
    same = scores["same_language"].to_numpy(dtype=bool)
    low, high = float(score.min()), float(score.max())
    edges = np.linspace(low, high if high > low else low + 1, 61)
    kinds = (
        ("non-target, across languages", ~target & ~same, GREY, (0, (3, 2))),
        ("non-target, one language", ~target & same, BLUE, "-"),
        ("target, across languages", target & ~same, ORANGE, (0, (3, 2))),
        ("target, one language", target & same, GREEN, "-"),
    )
    for label, rows, colour, line in kinds:
        if rows.any():
            density = score_density(score[rows], edges)
            axis.fill_between(edges[:-1], density, step="post", color=colour, alpha=0.12, linewidth=0)
            axis.step(
                edges[:-1], density, where="post", color=colour, linestyle=line, label=label, linewidth=1.3
            )
    axis.set_xlabel("cosine score")
    axis.set_ylabel("density")
    axis.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def language_pairs(languages: list[str], errors: np.ndarray) -> Figure:
    """EER by pair of languages as a heat map; a cell without trials enough is empty."""
    count = len(languages)
    size = min(WIDE, max(NARROW, 0.46 * count + 1.0))
    figure, (axis,) = _figure(size, size * 0.92)
    highest = float(np.nanmax(errors)) if np.isfinite(errors).any() else 1.0
    for row in range(count):
        for column in range(count):
            value = errors[row, column]
            if not math.isfinite(value):
                continue
            strength = 0.06 + 0.94 * value / max(highest, 1e-9)
            cell = Rectangle(
                (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=ORANGE, alpha=strength, linewidth=0
            )
            axis.add_patch(cell)
            axis.text(
                column,
                row,
                _short_percent(value),
                ha="center",
                va="center",
                fontsize=8,
                color=SURFACE if strength > 0.6 else INK,
            )
    axis.set_xlim(-0.5, count - 0.5)
    axis.set_ylim(count - 0.5, -0.5)
    axis.set_xticks(range(count), languages, rotation=90 if max(map(len, languages), default=0) > 3 else 0)
    axis.set_yticks(range(count), languages)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.set_aspect("equal")
    return figure


@styled
def embedding_scatter(points: EmbeddingMap, by: str, unseen: set[str]) -> Figure:
    """The map of embeddings, coloured by `speaker` or by `language`; languages not trained on are hollow."""
    figure, (axis,) = _figure(NARROW, 4.6)
    values = points.speakers if by == "speaker" else points.languages
    names = sorted(set(values.tolist()))
    for index, name in enumerate(names):
        rows = values == name
        colour = to_hex(hsv_to_rgb((index / len(names), 0.72, 0.82)))
        hollow = by == "language" and name in unseen
        axis.scatter(
            points.points[rows, 0],
            points.points[rows, 1],
            s=15,
            marker=MARKERS[index % len(MARKERS)],
            facecolors="none" if hollow else colour,
            edgecolors=colour,
            linewidths=1.1 if hollow else 0.3,
            alpha=0.9,
            label=f"{name} (unseen)" if hollow else name,
        )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[["left", "bottom"]].set_visible(False)
    if by == "language":
        columns = 4 if unseen & set(names) else 5  # their labels are longer
        axis.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(columns, len(names)), handletextpad=0.1
        )
    return figure


@styled
def losses(history: list[dict[str, Any]]) -> Figure:
    """Each loss term, unweighted, and the gradient's norm by epoch; terms that are off are left out."""
    shown = [name for name in LOSS_NAMES if any(record.get(name) is not None for record in history)]
    columns = 3
    rows = math.ceil(len(shown) / columns) or 1
    figure, axes = _figure(WIDE, 0.3 + 1.5 * rows, rows, columns)
    for axis, name in zip(axes, shown, strict=False):
        epochs, values = _series(history, lambda record, name=name: record.get(name))
        axis.plot(epochs, values, color=BLUE, marker="o", markersize=3, label="all")
        axis.set_title(LOSS_NAMES[name])
        axis.margins(y=0.15)
        if name == "grad_norm":
            for term, (colour, line) in TERM_LINES.items():
                epochs, values = _series(history, lambda record, term=term: record["gradient"].get(term))
                if epochs:
                    axis.plot(epochs, values, color=colour, linestyle=line, label=term.upper())
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")  # powers would be written in TeX, which is off
            axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        _epoch_axis(axis, history)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


@styled
def dev_errors(history: list[dict[str, Any]], best_epoch: int | None) -> Figure:
    """EER on the dev trials by epoch; the epoch whose weights were kept is marked."""
    figure, (axis,) = _figure(NARROW, 3.1)
    for name, (label, colour, marker) in DEV_LINES.items():
        epochs, values = _series(history, lambda record, name=name: (record.get("dev") or {}).get(name))
        if epochs:
            axis.plot(
                epochs,
                [100 * value for value in values],
                color=colour,
                marker=marker,
                markersize=4,
                label=label,
            )
    if best_epoch is not None:
        axis.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="kept")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("epoch")
    axis.set_ylabel("EER on dev (%)")
    axis.legend(loc="best")
    _epoch_axis(axis, history)
    return figure


@styled
def attention(history: list[dict[str, Any]]) -> Figure:
    """Share of the attention's weight that lies on the learned prefix, by epoch and prefix-tuner."""
    figure, (axis,) = _figure(NARROW, 3.1)
    for side, colour, marker in (("speaker", ORANGE, "o"), ("language", BLUE, "s")):
        epochs, values = _series(history, lambda record, side=side: (record.get("attention") or {}).get(side))
        if epochs:
            shares = [100 * value for value in values]
            axis.plot(epochs, shares, color=colour, marker=marker, markersize=4, label=f"{side} tuner")
    axis.set_ylim(0, 100)
    axis.set_xlabel("epoch")
    axis.set_ylabel("attention on the prefix (%)")
    axis.legend(loc="best")
    _epoch_axis(axis, history)
    return figure


@styled
def attention_profile(profile: dict[str, Any]) -> Figure:
    """Where each head of each prefix-tuner looks: on its prefix tokens, and along the utterance."""
    heads = len(next(iter(profile.values()))["prefix"])
    figure, axes = _figure(WIDE, 0.7 + len(profile) * (0.55 + 0.28 * heads), len(profile), 1)
    for axis, (side, found) in zip(axes, profile.items(), strict=True):
        weights = np.hstack([found["prefix"], found["content"]])
        tokens = len(found["prefix"][0])
        highest = max(float(weights.max()), 1e-9)
        for (head, place), weight in np.ndenumerate(weights):
            corner = (place - 0.48 + (place >= tokens), head - 0.46)
            cell = Rectangle(corner, 0.96, 0.92, facecolor=ORANGE, alpha=0.04 + 0.96 * weight / highest)
            axis.add_patch(cell)
        axis.set_title(f"{side} tuner; darkest {100 * highest:.1f} % of the attention")
        axis.set_xlim(-0.5, weights.shape[1] + 0.5)
        axis.set_ylim(heads - 0.5, -0.5)
        axis.set_yticks(range(heads), [f"head {head + 1}" for head in range(heads)])
        ends = [tokens + 1, tokens + len(found["content"][0])]
        prefix = [(tokens - 1) / 2] if tokens else []
        axis.set_xticks(
            [*prefix, *ends], [*["prefix tokens"][: len(prefix)], "start", "end of the utterance"]
        )
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[["left", "bottom"]].set_visible(False)
    return figure


@styled
def reconstructions(pairs: list[dict[str, Any]]) -> Figure:
    """Original beside reconstructed log-mels, a row an utterance, in one colour scale a row."""
    figure, axes = _figure(WIDE, 0.5 + 1.45 * len(pairs), len(pairs), 2)
    for row, pair in enumerate(pairs):
        low, high = np.percentile(pair["original"], [1, 99])
        for column, kind in enumerate(("original", "reconstructed")):
            axis = axes[2 * row + column]
            axis.imshow(
                pair[kind].T,
                origin="lower",
                aspect="auto",
                vmin=low,
                vmax=high,
                cmap="magma",
                interpolation="none",
            )
            axis.grid(visible=False)
            axis.set_title(
                f"{pair['label']}: original" if column == 0 else f"reconstructed, MSE {pair['mse']:.3f}"
            )
            axis.set_ylabel("mel band" if column == 0 else "")
            axis.set_xlabel("frame" if row == len(pairs) - 1 else "")
    return figure


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def _series(history: list[dict[str, Any]], value_of: Any) -> tuple[list[int], list[float]]:
    points = [(record["epoch"], value_of(record)) for record in history]
    kept = [(epoch, value) for epoch, value in points if value is not None]
    return [epoch for epoch, _ in kept], [value for _, value in kept]


def _epoch_axis(axis: Axes, history: list[dict[str, Any]]) -> None:
    """Whole epochs on the x axis, about five of them labelled."""
    epochs = [record["epoch"] for record in history]
    step = max(1, math.ceil(len(epochs) / 5))
    axis.set_xticks(epochs[::-1][::step][::-1])


def _short_percent(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}"
