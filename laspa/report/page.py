"""The report page: one HTML file with everything in it, that opens without a network."""

from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from laspa.report.analysis import DET_RATES, corpora_card, data_card, det_curve, present_conditions
from laspa.report.figures import DEV_LINES
from laspa.report.gallery import Shown
from laspa.report.grid import CONDITIONS as GRID_CONDITIONS
from laspa.report.grid import against_no_prefix, main_condition
from laspa.report.results import Results
from laspa.report.summary import BASELINE, LASPA, PLUS, difference, headliners, rate, verdict
from laspa.report.svg import css_variables, page_svg
from laspa.report.wording import (
    CONDITION_LABELS,
    LABELS,
    findings,
    interval_text,
    percent,
    points_text,
    relative_text,
    trained_text,
)

CONDITION_MEANINGS = {
    "cross_same": "same speaker across languages, others within one",
    "same_same": "everything within one language",
    "cross_cross": "everything across languages",
    "same_cross": "same speaker within a language, others across",
    "all": "all of them together",
}
RATE_COLUMNS = {  # of a part of the trial list, in detail.json
    "eer": "EER",
    "eer_convex_hull": "EER<br>of the hull",
    "min_dcf_01": "minDCF<br>(0.01)",
    "min_dcf_05": "minDCF<br>(0.05)",
    "act_dcf_01": "actDCF<br>(0.01)",
    "act_dcf_05": "actDCF<br>(0.05)",
    "cllr": "Cllr",
    "min_cllr": "minCllr",
    "frr_at_far_1": "FRR at<br>FAR 1 %",
    "frr_at_far_01": "FRR at<br>FAR 0.1 %",
}
OFFICIAL_COLUMNS = ("eer", "min_dcf_01", "min_dcf_05")
PART_NAMES = {
    "seen": "languages of training",
    "unseen": "a language never heard",
    "f-f": "women",
    "m-m": "men",
    "f-m": "a woman and a man",
}
SHARES = {"eer", "eer_convex_hull", "frr_at_far_1", "frr_at_far_01"}  # shown in per cent
PROBE_LABELS = {
    "language_linear": "Language, by a linear probe",
    "language_mlp": "Language, by a small MLP",
    "speaker": "Same speaker or not, by linear discriminants",
}
VARIANCE_LABELS = {
    "language": "Variance that goes with the language",
    "language_within_speaker": "… within each speaker",
    "speaker": "Variance that goes with the speaker",
}
PART_LABELS = {
    "speaker_encoder": "Speaker encoder",
    "language_encoder": "Language encoder",
    "speaker_tuner": "Speaker’s prefix-tuner",
    "language_tuner": "Language’s prefix-tuner",
    "decoder": "Decoder",
}
TERM_LABELS = {
    "aam": "AAM",
    "nll": "NLL",
    "mapc": "MAPC",
    "mse": "MSE",
    "mse_by_attention": "MSE by<br>attention",
    "grl": "GRL",
}
VERDICTS = {"lower": "lower", "higher": "higher: worse", "unclear": "not shown", "unknown": ""}


def render(results: Results, shown: list[Shown]) -> str:
    """The page as HTML. The same results give the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("laspa.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    css = environment.loader.get_source(environment, "page.css")[0] if environment.loader else ""
    sections: dict[str, list[dict[str, Any]]] = {}
    for item in shown:
        svg = page_svg(item.figure, item.name, item.title, item.description)
        sections.setdefault(item.section, []).append({"shown": item, "svg": Markup(svg)})
    return environment.get_template("page.html").render(
        css=Markup(css),
        light=Markup(css_variables("light")),
        dark=Markup(css_variables("dark")),
        figures=sections,
        headliners=headliners(results.summary),
        labels=LABELS,
        headline=_headline(results),
        findings=findings(results.summary),
        systems=[_system_row(results, name) for name in results.systems()],
        grid=_grid(results),
        trained=results.summary["trained"],
        rates=_rates(results),
        official=_official(results),
        rate_columns=[Markup(label) for label in RATE_COLUMNS.values()],
        official_columns=[Markup(RATE_COLUMNS[name]) for name in OFFICIAL_COLUMNS],
        not_calibrated=results.detail["not_calibrated"],
        cohort=results.detail["cohort"],
        probes=_probes(results),
        gradients=_gradients(results),
        omitted=_omitted(results),
        budget=_budget(results),
        card=data_card(results.manifest),
        corpora=corpora_card(results.manifest),
        parameters=results.train.get("parameters") or {},
        provenance=_provenance(results),
        params=results.params,
        percent=percent,
    )


def _cell(text: str) -> Markup:
    """`12.3 (11.0–13.6)` with the interval in small print below."""
    value, _, rest = text.partition(" (")
    return (
        Markup("{}<small>{}</small>").format(value, rest.rstrip(")")) if rest else Markup("{}").format(value)
    )


def plot_tables(results: Results) -> dict[str, pd.DataFrame]:
    """Tables for `dvc plots`, by file name: DET curves, the training's curves, and its EERs on dev."""
    det: dict[str, Any] = {"false_acceptances": DET_RATES}
    curves = {
        name: det_curve(target, nontarget) for name, target, nontarget in present_conditions(results.scores)
    }
    det |= {name: curves.get(name, float("nan")) for name in CONDITION_LABELS}
    training, dev = [], []
    for record in results.train["history"]:
        row = {key: value for key, value in record.items() if not isinstance(value, dict)}
        row |= {f"prefix_{side}": share for side, share in (record.get("attention") or {}).items()}
        training.append(row)
        if record.get("dev"):
            dev.append({"epoch": record["epoch"]} | record["dev"])
    columns = ["epoch", *DEV_LINES]
    return {
        "det.csv": pd.DataFrame(det),
        "training.csv": pd.DataFrame(training),
        "dev.csv": pd.DataFrame(dev, columns=columns),
    }


def _headline(results: Results) -> list[dict[str, Any]]:
    """A row a condition: baseline, LASPA and LASPA+ at equal budget, how the last of them differs from the
    first, and the trained model."""
    rows = []
    trained = results.summary["trained"]["conditions"]
    systems = headliners(results.summary)
    for name, label in CONDITION_LABELS.items():
        found = {system: rate(results.summary, system, name) for system in systems}
        if not any(found.values()) and name not in trained:
            continue
        change = difference(results.summary, systems[-1], name) if systems else None
        rows.append(
            {
                "label": label,
                "meaning": CONDITION_MEANINGS[name],
                "systems": [(system, interval_text(rates)) for system, rates in found.items()],
                "difference": points_text(change).replace(" points", "") if change else "–",
                "trained": trained_text(trained.get(name)),
            }
        )
    return rows


def _system_row(results: Results, name: str) -> dict[str, Any]:
    system = results.summary["systems"][name]
    cells = [
        interval_text(rate(results.summary, name, condition))
        for condition in ("cross_same", "same_same", "all")
    ]
    cost = rate(results.summary, name, "cross_same", "min_dcf_01") or rate(
        results.summary, name, "all", "min_dcf_01"
    )
    main = "cross_same" if rate(results.summary, name, "cross_same") else "all"
    added = system.get("added_parameters_percent")
    return {
        "label": LABELS.get(name, name),
        "kind": name if name in (BASELINE, LASPA, PLUS) else "",
        "eer": cells,
        "change": relative_text(results.summary, name, main),
        "verdict": VERDICTS[verdict(difference(results.summary, name, main))] if name != BASELINE else "",
        "min_dcf": f"{cost['mean']:.3f}" if cost else "–",
        "probe": interval_text(system.get("language_probe_accuracy")),
        "mapc": f"{system['mapc']['mean']:.3f}" if system.get("mapc") else "–",
        "added": f"{added['mean']:.2f}" if added else "–",
    }


def _grid(results: Results) -> dict[str, Any] | None:
    """Prefix length against heads on dev: a row a cell; None where that was not measured."""
    grid = results.grid
    if grid is None:
        return None
    main = main_condition(grid)
    rows = []
    for cell in grid["cells"]:
        change = against_no_prefix(grid, cell, main)
        share = cell["prefix_share"]
        told = [f"{side} {percent(share[side])}" for side in share] if cell["prefix_len"] else []
        rows.append(
            {
                "prefix": cell["prefix_len"],
                "heads": cell["num_heads"],
                "eer": [interval_text(cell["eer"].get(name)) for name in GRID_CONDITIONS],
                "change": points_text(change).replace(" points", "") if change else "–",
                "verdict": VERDICTS[verdict(change)],
                "added": f"{cell['added_parameters_percent']:.2f}",
                "share": ", ".join(told) or "–",
            }
        )
    return {
        "rows": rows,
        "main": CONDITION_LABELS[main],
        "conditions": [CONDITION_LABELS[name] for name in GRID_CONDITIONS],
        "budget": f"{_counted([grid['epochs']], 'epoch')}, {_counted([len(grid['seeds'])], 'seed')}",
        "trials": grid["trial_list"],
        "other_corpus": grid["manifest_sha256"] != results.manifest_sha256,
    }


def _rates(results: Results) -> list[dict[str, Any]]:
    """A row a part of the trial list: every rate of the trained model, and its EER under AS-norm."""
    cosine, as_norm = results.detail["cosine"], results.detail["as_norm"]
    rows = []
    for kind in ("condition", "all", "seen", "gender"):
        for name, rates in cosine.get(kind, {}).items():
            if rates is None:
                continue
            other = as_norm.get(kind, {}).get(name)
            cells = [_rate_text(column, rates) for column in RATE_COLUMNS]
            label = PART_NAMES.get(name) or CONDITION_LABELS.get(name, name)
            rows.append({"label": label, "cells": [*cells, percent(other["eer"]) if other else "–"]})
    return rows


def _official(results: Results) -> list[dict[str, Any]]:
    """A row a condition of each official list that was measured: its EER and minDCF, and which list it is."""
    rows = []
    for name, measured in results.summary["trained"].get("official", {}).items():
        conditions = measured["conditions"]
        for condition in ("all", *(other for other in conditions if other != "all")):
            rates = conditions[condition]
            rows.append(
                {
                    "list": measured["trial_list"] if condition == "all" else None,
                    "name": name,
                    "label": CONDITION_LABELS[condition],
                    "trials": rates["trials"],
                    "cells": [_rate_text(column, rates) for column in OFFICIAL_COLUMNS],
                }
            )
    return rows


def _rate_text(name: str, rates: dict[str, Any]) -> str:
    if name not in rates:
        return "–"
    low, high = rates.get(f"{name}_low"), rates.get(f"{name}_high")
    if name in SHARES:
        return interval_text({"mean": rates[name], "low": low, "high": high})
    interval = "" if low is None else f" ({low:.2f}–{high:.2f})"
    return f"{rates[name]:.3f}{interval}"


def _probes(results: Results) -> dict[str, Any]:
    """What can be read from each kind of embedding: a row a probe, accuracy and chance in per cent."""
    kinds = [kind for kind in ("speaker", "language") if kind in results.probe]
    rows = []
    for name, label in PROBE_LABELS.items():
        found = [results.probe[kind][name] for kind in kinds]
        chance = next((one["chance"] for one in found if one["chance"] is not None), None)
        cells = [_percent_or_dash(one["accuracy"]) for one in found]
        rows.append({"label": label, "cells": [*cells, _percent_or_dash(chance)]})
    for name, label in VARIANCE_LABELS.items():
        cells = [_percent_or_dash(results.probe[kind]["variance"][name]) for kind in kinds]
        rows.append({"label": label, "cells": [*cells, "0"]})
    return {"kinds": kinds, "rows": rows}


def _gradients(results: Results) -> dict[str, Any]:
    """Norm of each weighted term's gradient in each part of the trained model."""
    terms = [name for name in TERM_LABELS if any(name in norms for norms in results.gradients.values())]
    rows = [
        {
            "label": label,
            "cells": [f"{norms[term]:.2g}" if term in norms else "–" for term in terms],
        }
        for part, label in PART_LABELS.items()
        if (norms := results.gradients.get(part))
    ]
    return {"terms": [Markup(TERM_LABELS[term]) for term in terms], "rows": rows}


def _percent_or_dash(share: float | None) -> str:
    return "–" if share is None else percent(share)


def _budget(results: Results) -> dict[str, str]:
    systems = results.summary["systems"].values()
    epochs = sorted({system["epochs"] for system in systems if isinstance(system.get("epochs"), int)})
    seeds = sorted({len(system["seeds"]) for system in systems})
    return {
        "epochs": _counted(epochs, "epoch"),
        "seeds": _counted(seeds, "seed"),
        "trained": _counted([results.train["epochs"]], "epoch"),
        "several": "yes" if max(seeds) > 1 else "",
    }


def _counted(values: list[int], unit: str) -> str:
    text = " to ".join(str(value) for value in ([values[0], values[-1]] if len(values) > 1 else values))
    return f"{text} {unit}{'' if values == [1] else 's'}"


def _omitted(results: Results) -> dict[str, str]:
    """Conditions that this corpus cannot have, and why."""
    reasons = results.summary["trained"].get("omitted") or {}
    return {CONDITION_LABELS.get(name, name): str(reason) for name, reason in reasons.items()}


def _provenance(results: Results) -> dict[str, str]:
    trial_list = results.summary["trained"].get("trial_list") or {}
    corpora = sorted(results.manifest["corpus"].unique().tolist())
    return {
        "Corpus": ", ".join(corpora),
        "Trial list": f"{trial_list.get('name', '–')}: {trial_list.get('trials', 0):,} trials of "
        f"{trial_list.get('speakers', 0):,} speakers",
        "Trial list, SHA-256 of its lines": str(trial_list.get("sha256", "–")),
        "Manifest, SHA-256": results.manifest_sha256,
        **results.features,
    }
