"""The report page: one HTML file with everything in it, that opens without a network."""

from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from laspa.report.analysis import DET_RATES, data_card, det_curve, present_conditions
from laspa.report.gallery import Shown
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
        trained=results.summary["trained"],
        omitted=_omitted(results),
        budget=_budget(results),
        card=data_card(results.manifest),
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
    """Tables for `dvc plots`, by file name: DET curves and the training's curves."""
    det: dict[str, Any] = {"false_acceptances": DET_RATES}
    curves = {
        name: det_curve(target, nontarget) for name, target, nontarget in present_conditions(results.scores)
    }
    det |= {name: curves.get(name, float("nan")) for name in CONDITION_LABELS}
    rows = []
    for record in results.train["history"]:
        row = {key: value for key, value in record.items() if not isinstance(value, dict)}
        row |= {f"prefix_{side}": share for side, share in (record.get("attention") or {}).items()}
        rows.append(row | {f"dev_{name}": value for name, value in (record.get("dev") or {}).items()})
    return {"det.csv": pd.DataFrame(det), "training.csv": pd.DataFrame(rows)}


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
        "Trial list, SHA-256": str(trial_list.get("sha256", "–")),
        **results.features,
    }
