"""The figures of the report, drawn with matplotlib: each function takes what it shows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import norm

from laspa.models.losses import TERMS
from laspa.report.figure_data import DET_RANGE, DET_RATES, EmbeddingMap, det_curve, present_conditions
from laspa.report.summary import BASELINE, Summary, difference, headliners, rate, verdict
from laspa.report.svg import BLUE, GREEN, GREY, GRID, INK, MUTED, ORANGE, PURPLE, STAND_INS, SURFACE, styled
from laspa.report.text import PLACES, percent, system_label, term_abbreviation
from laspa.trials.conditions import CONDITIONS

NARROW, WIDE = 4.6, 9.4  # inches: half and all of the page's width
CONDITION_LINES: dict[str, tuple[str, Any]] = {
    "cross_same": (ORANGE, "-"),
    "same_same": (BLUE, "-"),
    "cross_cross": (PURPLE, (0, (5, 2))),
    "same_cross": (GREEN, (0, (2, 1.5))),
    "all": (GREY, (0, (1, 1))),
}
DEV_MARKERS = {"cross_same": "o", "same_same": "s", "all": "^"}  # of the conditions that dev is looked at by
# Drawn by epoch: lines of (path in a record, label, colour, marker), the label of the axis, its end in %.
BY_EPOCH: dict[str, tuple[list[tuple[tuple[str, str], str, str, str]], str, int | None]] = {
    "dev": (
        [
            (("dev", f"eer_{name}"), CONDITIONS[name].label, CONDITION_LINES[name][0], marker)
            for name, marker in DEV_MARKERS.items()
        ],
        "EER on dev (%)",
        None,
    ),
    "probe": (
        [(("dev", "language_probe"), "speaker embedding", ORANGE, "o")],
        "languages told on dev (%)",
        100,
    ),
    "attention": (
        [
            (("attention", "speaker"), "speaker tuner", ORANGE, "o"),
            (("attention", "language"), "language tuner", BLUE, "s"),
        ],
        "attention on the prefix (%)",
        100,
    ),
}
DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
LOSS_LABELS = {name: term.label for name, term in TERMS.items()} | {"grad_norm": "gradient norm"}
LOSS_COLUMNS = 3
DASHED = (0, (2, 2))
MARKERS = "os^Dv"
# What a difference to the baseline shows: the tip points to where the rate went.
VERDICT_STYLES = {
    "lower": (GREEN, "<"),
    "higher": (ORANGE, ">"),
    "unclear": (GREY, "o"),
    "unknown": (GREY, "o"),
}
LINE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
LINE_SPREAD = 0.12  # of a place on the axis, between lines, so that intervals do not cover each other


@styled
def comparison(summary: Summary, conditions: Sequence[str], places: Sequence[str]) -> Figure:
    """EER of every system by condition, with its interval, a panel for each place; each seed where several.

    Colour and marker say what the difference to the baseline shows; dashed: the baseline.
    """
    names = headliners(summary)
    groups = [one for one in conditions if any(rate(summary, name, one) for name in names)]
    rows = len(groups) * (len(names) + 1)
    figure, axes = _figure(NARROW * len(places), 0.6 + 0.22 * rows, 1, len(places), sharey=True)
    found = [rate(summary, name, group, part=place) for name in names for group in groups for place in PLACES]
    right = max(one["mean"] if one["high"] is None else one["high"] for one in found if one)
    headings = range(0, rows, len(names) + 1)
    for axis, place in zip(axes, places, strict=True):
        for heading, condition in zip(headings, groups, strict=True):
            for row, name in enumerate(names, start=heading + 1):
                if shown := rate(summary, name, condition, part=place):
                    change = verdict(difference(summary, name, condition, place))
                    style = (INK, "s") if name == BASELINE else VERDICT_STYLES[change]
                    _rate_with_interval(axis, shown, row, *style)
            if reference := rate(summary, BASELINE, condition, part=place):
                ends = [heading + 0.5, heading + len(names) + 0.5]
                axis.plot(
                    2 * [100 * reference["mean"]], ends, color=MUTED, linestyle=DASHED, linewidth=1, zorder=0
                )
        axis.set(xlim=(0, 112 * right), title=f"EER in %, {PLACES[place]}")
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    labels = [text for group in groups for text in (CONDITIONS[group].label, *map(system_label, names))]
    axes[0].set_yticks(range(rows), labels)
    for heading in headings:
        axes[0].get_yticklabels()[heading].set_fontweight("bold")
    axes[0].set_ylim(rows - 0.4, -0.6)
    return figure


@styled
def prefix_heads(cells: list[dict[str, Any]], condition: str) -> Figure:
    """EER on dev by prefix length, a line per head count, and the other way round, with intervals."""
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
                    axis.plot([place, place], _ends(eers), color=colour, linewidth=1, alpha=0.7)
        axis.set_xticks(range(len(places)), [str(place) for place in places])
        axis.set_xlabel(label)
        axis.grid(axis="x", visible=False)
        axis.legend(title=name, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(lines))
    axes[0].set_ylabel(f"EER on dev, {CONDITIONS[condition].label} (%)")
    return figure


@styled
def det(scores: pd.DataFrame) -> Figure:
    """Detection error trade-off (Martin et al. 1997): both axes under the normal distribution's quantiles."""
    figure, (axis,) = _figure(NARROW, 4.6)
    ends = norm.ppf(DET_RANGE)
    axis.plot(ends, ends, color=GRID, linewidth=1)
    separated = True
    for condition, target, nontarget in present_conditions(scores):
        colour, line = CONDITION_LINES[condition]
        miss = det_curve(target, nontarget)
        label = CONDITIONS[condition].label
        axis.plot(norm.ppf(DET_RATES), norm.ppf(miss), color=colour, linestyle=line, label=label)
        separated &= bool(np.isnan(miss).all())
    if separated:
        axis.text(0.5, 0.55, "no errors at these rates", ha="center", transform=axis.transAxes, color=MUTED)
    ticks = norm.ppf(DET_TICKS), [f"{100 * tick:g}" for tick in DET_TICKS]
    axis.set_xticks(*ticks)
    axis.set_yticks(*ticks)
    axis.set(xlim=ends, ylim=ends, xlabel="false acceptances (%)", ylabel="misses (%)", aspect="equal")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def histograms(scores: pd.DataFrame) -> Figure:
    """Distribution of the scores of targets and non-targets, within a language and across languages."""
    figure, (axis,) = _figure(NARROW, 4.6)
    score = scores["score"].to_numpy()
    target, same = (scores[name].to_numpy(dtype=bool) for name in ("target", "same_language"))
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
            density = np.histogram(score[rows], edges, density=True)[0]
            axis.fill_between(edges[:-1], density, step="post", color=colour, alpha=0.12, linewidth=0)
            style = {"color": colour, "linestyle": line, "linewidth": 1.3}
            axis.step(edges[:-1], density, where="post", label=label, **style)
    axis.set_xlabel("cosine score")
    axis.set_ylabel("density")
    axis.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def language_pairs(languages: list[str], errors: np.ndarray) -> Figure:
    """EER by pair of languages as a heat map; a cell with too few trials is empty."""
    count = len(languages)
    size = min(WIDE, max(NARROW, 0.46 * count + 1.0))
    figure, (axis,) = _figure(size, size * 0.92)
    highest = float(np.nanmax(errors)) if np.isfinite(errors).any() else 1.0
    for (row, column), value in np.ndenumerate(errors):
        if math.isfinite(value):
            strength = 0.06 + 0.94 * value / max(highest, 1e-9)
            _cell(axis, column - 0.48, row - 0.48, 0.96, strength)
            text = f"{100 * value:.0f}" if value >= 0.0995 else f"{100 * value:.1f}"
            colour = SURFACE if strength > 0.6 else INK
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axis.set_xlim(-0.5, count - 0.5)
    axis.set_ylim(count - 0.5, -0.5)
    axis.set_xticks(range(count), languages, rotation=90 if max(map(len, languages), default=0) > 3 else 0)
    axis.set_yticks(range(count), languages)
    _hide_frame(axis)
    axis.set_aspect("equal")
    return figure


@styled
def embedding_scatter(points: EmbeddingMap, by: str, unseen: set[str]) -> Figure:
    """The map of embeddings, coloured by `speaker` or by `language`; languages not trained on are hollow."""
    figure, (axis,) = _figure(NARROW, 4.6)
    values = points.speakers if by == "speaker" else points.languages
    names = sorted(set(values.tolist()))
    for index, name in enumerate(names):
        colour = to_hex(hsv_to_rgb((index / len(names), 0.72, 0.82)))
        hollow = by == "language" and name in unseen
        axis.scatter(
            x=points.points[values == name, 0],
            y=points.points[values == name, 1],
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
        columns = min(4 if unseen & set(names) else 5, len(names))  # labels of unseen ones are longer
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns, handletextpad=0.1)
    return figure


@styled
def losses(history: list[dict[str, Any]]) -> Figure:
    """Each loss term, unweighted, and the gradient's norm by epoch; terms that are off are left out."""
    shown = [name for name in LOSS_LABELS if any(record.get(name) is not None for record in history)]
    rows = math.ceil(len(shown) / LOSS_COLUMNS) or 1
    figure, axes = _figure(WIDE, 0.3 + 1.5 * rows, rows, LOSS_COLUMNS)
    for axis, name in zip(axes, shown, strict=False):
        _line(axis, history, (name,), color=BLUE, marker="o", markersize=3, label="all")
        axis.set_title(LOSS_LABELS[name])
        axis.margins(y=0.15)
        if name == "grad_norm":
            for key, term in TERMS.items():
                line = (0, term.dashes) if term.dashes else "-"
                style: dict[str, Any] = {"color": STAND_INS[term.colour], "linestyle": line}
                _line(axis, history, ("gradient", key), label=term_abbreviation(key), **style)
            for side, colour in (("speaker", ORANGE), ("language", BLUE)):
                label = f"through the {side} tuner"
                _line(axis, history, ("flow", side), color=colour, linestyle=":", label=label)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")  # powers would be written in TeX, which is off
            legend = axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            legend.set_in_layout(len(shown) % LOSS_COLUMNS == 0)  # else it has the empty place to its right
        _label_epochs(axis, history)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure


@styled
def percent_by_epoch(kind: str, history: list[dict[str, Any]], kept: int | None = None) -> Figure:
    """One kind of BY_EPOCH; the epoch `kept`, whose weights were kept, is marked."""
    figure, (axis,) = _figure(NARROW, 3.1)
    lines, label, highest = BY_EPOCH[kind]
    for path, name, colour, marker in lines:
        _line(axis, history, path, scale=100, color=colour, marker=marker, markersize=4, label=name)
    if kept is not None:
        axis.axvline(kept, color=MUTED, linewidth=1, linestyle=DASHED, label="kept")
    axis.set(xlabel="epoch", ylabel=label, ylim=(0, highest))
    axis.legend(loc="best")
    _label_epochs(axis, history)
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
            _cell(axis, place - 0.48 + (place >= tokens), head - 0.46, 0.92, 0.04 + 0.96 * weight / highest)
        axis.set_title(f"{side} tuner; darkest {100 * highest:.1f} % of the attention")
        axis.set_xlim(-0.5, weights.shape[1] + 0.5)
        axis.set_ylim(heads - 0.5, -0.5)
        axis.set_yticks(range(heads), [f"head {head + 1}" for head in range(heads)])
        ticks = {(tokens - 1) / 2: "prefix tokens"} if tokens else {}
        ticks |= {tokens + 1: "start", tokens + len(found["content"][0]): "end of the utterance"}
        axis.set_xticks(list(ticks), list(ticks.values()))
        _hide_frame(axis)
    return figure


@styled
def reconstructions(pairs: list[dict[str, Any]]) -> Figure:
    """Original beside reconstructed log-mels, one row per utterance, each row in one colour scale."""
    figure, axes = _figure(WIDE, 0.5 + 1.45 * len(pairs), len(pairs), 2)
    for row, pair in enumerate(pairs):
        low, high = np.percentile(pair["original"], [1, 99])
        titles = {
            "original": f"{pair['label']}: original",
            "reconstructed": f"reconstructed, MSE {pair['mse']:.3f}",
        }
        for axis, (kind, title) in zip(axes[2 * row : 2 * row + 2], titles.items(), strict=True):
            colours = {"vmin": low, "vmax": high, "cmap": "magma", "interpolation": "none"}
            axis.imshow(pair[kind].T, origin="lower", aspect="auto", **colours)
            axis.grid(visible=False)
            axis.set_title(title)
            axis.set_ylabel("mel band" if kind == "original" else "")
            axis.set_xlabel("frame" if row == len(pairs) - 1 else "")
    return figure


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def _ends(found: dict[str, Any]) -> list[float]:
    """The ends of an EER's interval in per cent."""
    return [100 * max(found["low"], 0), 100 * found["high"]]


def _cell(axis: Axes, x: float, y: float, height: float, strength: float) -> None:
    axis.add_patch(Rectangle((x, y), 0.96, height, facecolor=ORANGE, alpha=strength, linewidth=0))


def _rate_with_interval(axis: Axes, found: dict[str, Any], row: int, colour: str, marker: str) -> None:
    """A rate as a marker with its interval and its number, and a tick for each seed."""
    mean, last = 100 * found["mean"], 100 * (found["mean"] if found["high"] is None else found["high"])
    if found["low"] is not None:
        axis.plot(_ends(found), [row, row], color=colour, linewidth=2.2)
    values = [100 * value for value in found.get("values", [])]
    axis.plot(values, [row] * len(values), "|", color=colour, markersize=8, markeredgewidth=1)
    axis.plot([mean], [row], marker, color=colour, markersize=7.5, markeredgecolor=SURFACE)
    axis.annotate(
        percent(found["mean"]), (last, row), (5, 0), textcoords="offset points", va="center", fontsize=8
    )


def _hide_frame(axis: Axes) -> None:
    """Leave the labels alone beside a heat map."""
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)


def _line(
    axis: Axes, history: list[dict[str, Any]], path: tuple[str, ...], scale: float = 1, **style: Any
) -> None:
    """What the epochs' records hold at `path`; no line where none holds anything."""
    points = []
    for record in history:
        value: Any = record
        for key in path:
            value = (value or {}).get(key)
        if value is not None:
            points.append((record["epoch"], scale * value))
    if points:
        axis.plot(*zip(*points, strict=True), **style)


def _label_epochs(axis: Axes, history: list[dict[str, Any]]) -> None:
    """Whole epochs on the x axis, about five of them labelled."""
    epochs = [record["epoch"] for record in history]
    step = max(1, math.ceil(len(epochs) / 5))
    axis.set_xticks(epochs[::-1][::step][::-1])
