"""Which figures the report shows, each with its text alternative; titles and captions are in report.html."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from laspa.manifest.tables import trained_languages
from laspa.report import figure_data, figures
from laspa.report.prefix_heads import compared_condition
from laspa.report.results import Results
from laspa.report.summary import Summary, headliners, main_condition, rate
from laspa.report.svg import PageFigure
from laspa.report.tables import places
from laspa.report.text import PLACES, READING_ORDER, interval_text, percent, system_label
from laspa.trials.conditions import CONDITIONS

FIGURE_CONDITIONS = READING_ORDER[:4]  # without same / cross, the easiest
ABLATION_CONDITIONS = ("cross_same", "same_same")

Named = Iterator[tuple[str, PageFigure]]


def page_figures(results: Results) -> dict[str, PageFigure]:
    """The figures that these results allow, by name."""
    parts = (_comparison, _prefix_heads, _trials, _embeddings, _training, _reconstructions)
    return {name: figure for part in parts for name, figure in part(results)}


def _comparison(results: Results) -> Named:
    for place in places(results.summary):
        figure = figures.comparison(results.summary, FIGURE_CONDITIONS, [place])
        yield f"result-{place or 'home'}", PageFigure(figure, _told(results.summary, place))
    if results.ablation:
        figure = figures.comparison(results.ablation, ABLATION_CONDITIONS, [""])
        yield "systems", PageFigure(figure, _told(results.ablation, ""))


def _told(summary: Summary, place: str) -> str:
    """EERs of all systems under the condition that matters most."""
    condition = main_condition(summary)
    told = ", ".join(
        f"{system_label(name)} {interval_text(found)}"
        for name in headliners(summary)
        if (found := rate(summary, name, condition, part=place))
    )
    return f"EER in per cent, {CONDITIONS[condition].label}, {PLACES[place]}: {told}."


def _prefix_heads(results: Results) -> Named:
    if results.prefix_heads is None:
        return
    cells, condition = results.prefix_heads["cells"], compared_condition(results.prefix_heads)
    ranked = sorted(cells, key=lambda cell: float(cell["eer"][condition]["mean"]))
    told = " to ".join(
        f"{interval_text(cell['eer'][condition])} with prefix {cell['prefix_len']} and {cell['num_heads']} "
        f"head{'s'[: cell['num_heads'] > 1]}"
        for cell in (ranked[0], ranked[-1])
    )
    text = f"EER on dev of {len(cells)} combinations of prefix length and heads, in per cent: from {told}."
    yield "prefix-heads", PageFigure(figures.prefix_heads(cells, condition), text, wide=True)


def _trials(results: Results) -> Named:
    conditions = results.metrics["conditions"]
    told = "; ".join(
        f"{about.label} {percent(conditions[name]['eer'])} %"
        for name, about in CONDITIONS.items()
        if name in conditions
    )
    text = f"Misses against false acceptances by condition. Their equal error rates: {told}."
    yield "det", PageFigure(figures.det(results.scores), text)
    kinds = {True: "targets", False: "non-targets"}
    relations = {True: "within a language", False: "across languages"}
    means = results.scores.groupby(["target", "same_language"])["score"].mean()
    told = ", ".join(
        f"{kinds[target]} {relations[same]} {mean:.2f}" for (target, same), mean in means.items()
    )
    text = f"Distributions of the cosine score. Means: {told}."
    yield "scores", PageFigure(figures.histograms(results.scores), text)
    languages, errors = figure_data.language_pair_eers(results.scores, results.manifest)
    known = sorted(
        (errors[row, column], f"{languages[row]} with {languages[column]}")
        for row, column in np.argwhere(np.tril(np.isfinite(errors)))
    )
    if known:
        ends = " to ".join(f"{percent(value)} % ({pair})" for value, pair in (known[0], known[-1]))
        text = f"EER of {len(known)} pairs of {len(languages)} languages: from {ends}."
        figure = figures.language_pairs(languages, errors)
        yield "languages", PageFigure(figure, text, wide=len(languages) > 8)


def _embeddings(results: Results) -> Named:
    points = figure_data.embedding_map(results.embeddings, results.manifest)
    if points is None:
        return
    unseen = set(points.languages.tolist()) - trained_languages(results.manifest)
    speakers, languages = (len(set(names.tolist())) for names in (points.speakers, points.languages))
    text = f"t-SNE of {len(points.points)} test utterances of {speakers} speakers in {languages} languages"
    for by in ("speaker", "language"):
        figure = figures.embedding_scatter(points, by, unseen)
        hollow = " Hollow: languages that no training speaker speaks." if unseen and by == "language" else ""
        yield f"tsne-{by}s", PageFigure(figure, f"{text}, a colour and marker for each {by}.", hollow)


def _training(results: Results) -> Named:
    history: list[dict[str, Any]] = results.train["history"]
    if not history:
        return
    first, last = history[0], history[-1]
    told = ", ".join(
        f"{label} from {first[name]:.3g} to {last[name]:.3g}"
        for name, label in figures.LOSS_LABELS.items()
        if first.get(name) is not None and last.get(name) is not None
    )
    yield "losses", PageFigure(figures.losses(history), f"Over {len(history)} epochs: {told}.", wide=True)
    looks = [record["dev"] for record in history if record["dev"]]
    told = ", ".join(
        f"{CONDITIONS[name].label} from {percent(looks[0][key])} to {percent(looks[-1][key])} %"
        for name in figures.DEV_MARKERS
        if looks and (key := f"eer_{name}") in looks[0]
    )
    if told:
        figure = figures.percent_by_epoch("dev", history, results.train.get("best_epoch"))
        yield "dev", PageFigure(figure, f"EER on dev: {told}.")
    if looks and "language_probe" in looks[0]:
        ends = [percent(look["language_probe"]) for look in (looks[0], looks[-1])]
        text = f"Languages told from the speaker embeddings of dev: from {ends[0]} to {ends[1]} %."
        yield "probe", PageFigure(figures.percent_by_epoch("probe", history), text)
    if shares := last.get("attention"):
        told = " and ".join(f"{side} {percent(share)} %" for side, share in sorted(shares.items()))
        text = f"Share of the attention's weight on the learned prefix in the last epoch: {told}."
        yield "attention", PageFigure(figures.percent_by_epoch("attention", history), text)
    if results.attention:
        told = "; ".join(
            f"the {side} tuner's heads give it {', '.join(map(percent, map(sum, found['prefix'])))} %"
            f" (evenly spread it would be {percent(found['uniform_prefix'])} %)"
            for side, found in results.attention.items()
        )
        figure, text = figures.attention_profile(results.attention), "Share of the attention on the prefix"
        yield "attention-profile", PageFigure(figure, f"{text}: {told}.", wide=True)


def _reconstructions(results: Results) -> Named:
    if not results.reconstructions:
        return
    language = results.manifest.set_index("utterance_id")["language"]
    pairs = [
        {
            **pair,
            "label": str(language.get(pair["utterance_id"], pair["utterance_id"])),
            "mse": float(np.mean(np.square(pair["original"] - pair["reconstructed"]))),
        }
        for pair in results.reconstructions
    ]
    told = ", ".join(f"{pair['mse']:.3f} ({pair['label']})" for pair in pairs)
    text = f"{len(pairs)} pairs of spectrograms; mean squared errors {told}."
    yield "reconstruction", PageFigure(figures.reconstructions(pairs), text, wide=True)
