"""Which figures the report shows, each with its title, caption and text alternative."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from laspa.manifest.tables import trained_languages
from laspa.report import analysis, figures
from laspa.report.grid import main_condition
from laspa.report.results import Results
from laspa.report.summary import rate
from laspa.report.wording import CONDITION_LABELS, LABELS, interval_text, percent


@dataclass
class Shown:
    """One figure of the page. `description` is its text alternative: what one would see."""

    name: str
    section: str
    title: str
    caption: str
    description: str
    figure: Figure
    wide: bool = False


def gallery(results: Results) -> Iterator[Shown]:
    """The figures that these results allow, in the order of the page."""
    yield _systems(results)
    yield from _grid(results)
    yield from _trials(results)
    yield from _embeddings(results)
    yield from _training(results)
    yield from _reconstructions(results)


def _systems(results: Results) -> Shown:
    names = results.systems()
    rates = [
        (name, rate(results.summary, name, "cross_same") or rate(results.summary, name, "all"))
        for name in names
    ]
    told = ", ".join(f"{LABELS.get(name, name)} {interval_text(found)}" for name, found in rates if found)
    return Shown(
        "systems",
        "systems",
        "Every system, on the same data, budget and seeds",
        "Dot: mean over seeds. Bar: 95 % t-interval over seeds. Ticks: seeds. Dashed: the baseline's mean.",
        f"EER by system, in per cent: {told}.",
        figures.systems(results.summary, names, LABELS),
        wide=True,
    )


def _grid(results: Results) -> Iterator[Shown]:
    if results.grid is None:
        return
    cells, condition = results.grid["cells"], main_condition(results.grid)
    ranked = sorted(cells, key=lambda cell: float(cell["eer"][condition]["mean"]))
    told = " to ".join(
        f"{interval_text(cell['eer'][condition])} with prefix {cell['prefix_len']} and {cell['num_heads']} "
        f"head{'s'[: cell['num_heads'] > 1]}"
        for cell in (ranked[0], ranked[-1])
    )
    yield Shown(
        "grid",
        "grid",
        "EER on dev by prefix length and by heads",
        "Dot: mean over seeds. Bar: 95 % t-interval over seeds.",
        f"EER on dev of {len(cells)} combinations of prefix length and heads, in per cent: from {told}.",
        figures.grid(cells, condition),
        wide=True,
    )


def _trials(results: Results) -> Iterator[Shown]:
    conditions = results.summary["trained"]["conditions"]
    errors = "; ".join(
        f"{CONDITION_LABELS[name]} {percent(conditions[name]['eer'])} %"
        for name in CONDITION_LABELS
        if name in conditions
    )
    yield Shown(
        "det",
        "trials",
        "Detection error trade-off",
        "The trained model. Both axes follow the normal distribution: a straight line means normal scores, "
        "and the nearer to the lower left corner the better.",
        f"Misses against false acceptances by condition. Their equal error rates: {errors}.",
        figures.det(results.scores),
    )
    yield Shown(
        "scores",
        "trials",
        "Scores by condition",
        "Where a target across languages scores like a non-target within one, language is in the embedding.",
        f"Distributions of the cosine score. {_mean_scores(results)}",
        figures.histograms(results.scores),
    )
    languages, errors_by_pair = analysis.language_pair_eers(results.scores, results.manifest)
    if np.isfinite(errors_by_pair).any():
        yield Shown(
            "languages",
            "trials",
            "EER by pair of languages (%)",
            "Targets between the two languages against non-targets within either; on the diagonal, one. "
            f"Empty: fewer than {analysis.MIN_PAIR_TRIALS} trials of a kind.",
            _extreme_pairs(languages, errors_by_pair),
            figures.language_pairs(languages, errors_by_pair),
            wide=len(languages) > 8,
        )


def _embeddings(results: Results) -> Iterator[Shown]:
    points = analysis.embedding_map(results.embeddings, results.manifest)
    if points is None:
        return
    unseen = set(points.languages.tolist()) - trained_languages(results.manifest)
    shown = (
        f"t-SNE of {len(points.points)} test utterances of {len(set(points.speakers.tolist()))} speakers "
        f"in {len(set(points.languages.tolist()))} languages"
    )
    yield Shown(
        "tsne-speakers",
        "embeddings",
        "Speaker embeddings, coloured by speaker",
        "Wanted: one island a speaker, whatever the language. t-SNE keeps neighbours, not distances.",
        f"{shown}, a colour and marker for each speaker.",
        figures.embedding_scatter(points, "speaker", unseen),
    )
    yield Shown(
        "tsne-languages",
        "embeddings",
        "The same points, coloured by language",
        "Wanted: no islands of one colour. Hollow: languages that no training speaker speaks."
        if unseen
        else "Wanted: no islands of one colour.",
        f"{shown}, a colour and marker for each language.",
        figures.embedding_scatter(points, "language", unseen),
    )


def _training(results: Results) -> Iterator[Shown]:
    history: list[dict[str, Any]] = results.train["history"]
    if not history:
        return
    first, last = history[0], history[-1]
    terms = [
        name for name in figures.LOSS_NAMES if first.get(name) is not None and last.get(name) is not None
    ]
    told = ", ".join(
        f"{figures.LOSS_NAMES[name]} from {first[name]:.3g} to {last[name]:.3g}" for name in terms
    )
    yield Shown(
        "losses",
        "training",
        "Loss terms by epoch",
        "Each as it is, before its weight; terms of weight 0 are left out. Gradient norm: that of the "
        "weighted sum, beside those of its terms in the epoch's last step.",
        f"Over {len(history)} epochs: {told}.",
        figures.losses(history),
        wide=True,
    )
    looks = [record["dev"] for record in history if record["dev"]]
    dev = ", ".join(
        f"{label} from {percent(looks[0][name])} to {percent(looks[-1][name])} %"
        for name, (label, _, _) in figures.DEV_LINES.items()
        if looks and name in looks[0]
    )
    if dev:
        yield Shown(
            "dev",
            "training",
            "EER on the dev trials by epoch",
            "The epoch that is lowest in the first of them is kept. The test trials play no part in it.",
            f"EER on dev: {dev}.",
            figures.dev_errors(history, results.train.get("best_epoch")),
        )
    masses = last.get("attention") or {}
    if masses:
        told = " and ".join(f"{side} {percent(share)} %" for side, share in sorted(masses.items()))
        yield Shown(
            "attention",
            "training",
            "Attention on the prefix by epoch",
            "Near 100 % the tuners would ignore what is said, near 0 % the prefix would do nothing.",
            f"Share of the attention's weight on the learned prefix in the last epoch: {told}.",
            figures.attention(history),
        )
    if results.attention:
        told = "; ".join(
            f"the {side} tuner's heads give it {', '.join(percent(sum(head)) for head in found['prefix'])} %"
            f" (evenly spread it would be {percent(found['uniform_prefix'])} %)"
            for side, found in results.attention.items()
        )
        yield Shown(
            "attention-profile",
            "training",
            "Where the heads look, after training",
            "Mean over test utterances, each in twenty parts from start to end.",
            f"Share of the attention on the prefix: {told}.",
            figures.attention_profile(results.attention),
            wide=True,
        )


def _reconstructions(results: Results) -> Iterator[Shown]:
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
    yield Shown(
        "reconstruction",
        "reconstruction",
        "Mel spectrograms, original and reconstructed",
        "Test utterances from the best to the worst reconstructed, with mean squared error of the log-mels.",
        f"{len(pairs)} pairs of spectrograms; mean squared errors {told}.",
        figures.reconstructions(pairs),
        wide=True,
    )


def _mean_scores(results: Results) -> str:
    means = results.scores.groupby(["target", "same_language"])["score"].mean()
    kinds, places = (
        {True: "targets", False: "non-targets"},
        {True: "within a language", False: "across languages"},
    )
    told = [
        f"{kinds[bool(target)]} {places[bool(same)]} {value:.2f}" for (target, same), value in means.items()
    ]
    return f"Means: {', '.join(told)}."


def _extreme_pairs(languages: list[str], errors: np.ndarray) -> str:
    rows, columns = np.tril_indices(len(languages))
    known = [
        (errors[row, column], languages[row], languages[column])
        for row, column in zip(rows, columns, strict=True)
    ]
    known = sorted(item for item in known if np.isfinite(item[0]))
    (low, *best), (high, *worst) = known[0], known[-1]
    return (
        f"EER of {len(known)} pairs of {len(languages)} languages: "
        f"from {percent(low)} % ({' with '.join(best)}) "
        f"to {percent(high)} % ({' with '.join(worst)})."
    )
