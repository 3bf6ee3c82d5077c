"""The report page, one HTML file that opens without a network, and the tables for `dvc plots`."""

from functools import partial
from typing import Any

import pandas as pd

from laspa.corpora.catalogue import CORPORA
from laspa.corpora.size import corpus_sizes
from laspa.evaluation.error_rates import RATES
from laspa.models.losses import TERMS
from laspa.report import prefix_heads, text
from laspa.report.figure_data import DET_RATES, MIN_PAIR_TRIALS, det_curve, present_conditions
from laspa.report.figures import DEV_MARKERS
from laspa.report.html import environment
from laspa.report.results import Results
from laspa.report.summary import MAIN_CONDITIONS, difference, headliners, main_condition, rate, verdict
from laspa.report.svg import PageFigure, page_svg
from laspa.report.tables import comparison, places, study_comparison
from laspa.report.text import PLACES, counted, interval_text, percent, points_text, term_abbreviation
from laspa.trials.conditions import CONDITIONS
from laspa.trials.splits import OTHER, PARTS, rows_of_split

VERDICTS = {"lower": "better", "higher": "worse", "unclear": "unclear", "unknown": ""}


def render(results: Results, figures: dict[str, PageFigure]) -> str:
    """The page as HTML. The same results give the same bytes."""
    summary, ablation = results.summary, results.ablation or {"systems": {}}
    filters = {"percent": percent, "interval": interval_text, "points": points_text, "svg": page_svg}
    filters |= {"shown": verdict, "verdict": lambda found: VERDICTS[verdict(found)]}
    template = environment("laspa.report", **filters).get_template("report.html")
    return template.render(
        results=results,
        summary=summary,
        trained=results.metrics,
        others=(results.metrics.get(OTHER) or {}).get("trial_list"),
        figures=figures,
        text=text,
        prefix_heads=prefix_heads,
        conditions=CONDITIONS,
        all_rates=RATES,
        main_conditions=MAIN_CONDITIONS,
        main=main_condition(ablation),
        groups=comparison(summary),
        places={place: PLACES[place].capitalize() for place in places(summary)},
        study=study_comparison(results.study) if results.study else [],
        ablation=ablation["systems"],
        ablated=headliners(ablation),
        rate=partial(rate, ablation),
        difference=partial(difference, ablation),
        relative=partial(text.relative_text, ablation),
        budget=_budget(results),
        min_pair_trials=MIN_PAIR_TRIALS,
        gradient_terms=_gradient_terms(results.gradients),
        splits=split_table(results.manifest),
        corpora=corpora_table(results.manifest),
        provenance=_provenance(results),
    )


def plot_tables(results: Results) -> dict[str, pd.DataFrame]:
    """Tables for `dvc plots`, by file name: DET curves, the training's curves, and its EERs on dev."""
    curves = {
        name: det_curve(target, nontarget) for name, target, nontarget in present_conditions(results.scores)
    }
    det = {name: curves.get(name, float("nan")) for name in CONDITIONS}
    training, dev = [], []
    for record in results.train["history"]:
        row = {key: value for key, value in record.items() if not isinstance(value, dict)}
        row |= {f"prefix_{side}": share for side, share in (record.get("attention") or {}).items()}
        training.append(row)
        if record.get("dev"):
            dev.append({"epoch": record["epoch"]} | record["dev"])
    return {
        "det.csv": pd.DataFrame({"false_acceptances": DET_RATES} | det),
        "training.csv": pd.DataFrame(training),
        "dev.csv": pd.DataFrame(dev, columns=["epoch", *(f"eer_{name}" for name in DEV_MARKERS)]),
    }


def split_table(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per split: speakers, those with several languages, languages, utterances, hours.

    `other` is a row of its own where it is there.
    """
    rows = []
    for split in PARTS:
        part = rows_of_split(manifest, split)
        if split == OTHER and part.empty:
            continue
        spoken = part.groupby("speaker")["language"].nunique()
        rows.append(
            {
                "split": split,
                "speakers": len(spoken),
                "multilingual": int((spoken >= 2).sum()),
                "languages": sorted(part["language"].unique().tolist()),
                "utterances": len(part),
                "hours": float((part["num_samples"] / part["sample_rate"]).sum() / 3600),
            }
        )
    return rows


def corpora_table(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per corpus: title, how much of it is here, licence and citation, which may be empty.

    `of`: how many speakers the whole corpus has, where there are fewer here.
    """
    rows = []
    for name, size in corpus_sizes(manifest).items():
        row = {"title": name, "of": None, "licence": "", "licence_url": "", "citation": "", **vars(size)}
        if corpus := CORPORA.get(name):
            whole = corpus.complete.speakers
            row |= {"title": corpus.title, "of": whole if whole != size.speakers else None}
            row |= {"licence": corpus.licence.name, "licence_url": corpus.licence.url}
            row["citation"] = corpus.citation
        rows.append(row)
    return rows


def _gradient_terms(gradients: dict[str, dict[str, float]]) -> dict[str, str]:
    """The terms whose gradients were measured, with their headings."""
    headings: dict[str, str] = {}
    for term in TERMS:
        name = term_abbreviation(term)
        headings |= {term: name, f"{term}_by_attention": f"{name} by\nattention"}
    return {key: name for key, name in headings.items() if any(key in norms for norms in gradients.values())}


def _budget(results: Results) -> dict[str, str]:
    """How long the systems were trained, and with how many seeds: here, and in the ablation."""
    budgets = {}
    for name, summary in (("run", results.summary), ("ablation", results.ablation)):
        systems = summary["systems"].values() if summary else []
        epochs = counted([system["epochs"] for system in systems], "epoch")
        budgets[name] = f"{epochs}, {counted([len(system['seeds']) for system in systems], 'seed')}"
    return budgets


def _provenance(results: Results) -> dict[str, str]:
    trial_list = results.metrics.get("trial_list") or {}
    return {
        "Corpus": ", ".join(sorted(results.manifest["corpus"].unique())),
        "Trial list": f"{trial_list.get('name', '–')}: {trial_list.get('trials', 0):,} trials of "
        f"{trial_list.get('speakers', 0):,} speakers",
        "Trial list, SHA-256 of its lines": str(trial_list.get("sha256", "–")),
        "Manifest, SHA-256": results.manifest_sha256,
        **results.features,
    }
