"""docs/replication.md: readings of LASPA on dev, against the baseline and against the published one."""

from collections.abc import Iterator
from typing import Any

from laspa.report.html import environment
from laspa.report.seeds import over_seeds, paired
from laspa.report.summary import BASELINE, LASPA, PLUS
from laspa.report.text import interval_text, percent, points_text

KEPT = ("seeds", "epochs", "trial_list", "mapc", "distance_correlation", "mse", "language_accuracy")
PROBES = ("language_linear", "language_mlp")
# Which term's gradient in which part the page shows.
GRADIENTS = {
    "speaker_encoder": ("aam", "mapc", "mse"),
    "language_encoder": ("nll", "mapc", "mse", "mse_by_attention"),
    "speaker_tuner": ("mse",),
    "decoder": ("mse",),
}


def merged(
    seeds: dict[str, list[dict[str, Any]]], changes: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Each system over seeds: what the page shows of it, and what the system changes."""
    found = {}
    for name, one in over_seeds(seeds)["systems"].items():
        results = seeds[name]
        found[name] = {
            "changes": changes.get(name, {}),
            **{key: one.get(key) for key in KEPT},
            "eer": {condition: rates["eer"] for condition, rates in one["conditions"].items()},
            "probe": {
                kind: {probe: values[probe]["accuracy"] for probe in PROBES}
                for kind, values in one["probe"].items()
            },
            "chance": results[0]["language_probe_chance"],
            "gradients": {
                part: {term: norm["mean"] for term, norm in norms.items()}
                for part, norms in one["gradients"].items()
            },
            "mapc_by_batch_size": _by_batch_size(results),
            "course": _course(results),
        }
    return found


def _by_batch_size(results: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Means over seeds."""
    tables = [one["mapc_by_batch_size"] for one in results if "mapc_by_batch_size" in one]
    return [
        {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
        for rows in zip(*tables, strict=True)
    ]


def _course(results: list[dict[str, Any]]) -> dict[str, float]:
    """By epoch the accuracy of the quick language probe on dev, mean over seeds."""
    looks: dict[str, list[float]] = {}
    for one in results:
        for record in one["history"]:
            if "language_probe" in record["dev"]:
                looks.setdefault(str(record["epoch"]), []).append(record["dev"]["language_probe"])
    return {epoch: sum(values) / len(values) for epoch, values in looks.items()}


def replication_page(table: dict[str, Any], backbones: dict[str, Any]) -> str:
    """The page as Markdown.

    Args:
        table: studies/replication.json.
        backbones: what `pipelines.studies.table` measured, by ENCODER-SYSTEM; empty before.
    """
    filters = {"rate": interval_text, "points": points_text, "percent": percent}
    template = environment("laspa.report", **filters).get_template("replication.md")
    systems = table["systems"]
    order = [name for name in (BASELINE, LASPA) if name in systems]
    order += [name for name in systems if name not in (*order, PLUS)] + [PLUS] * (PLUS in systems)
    return template.render(
        table=table,
        backbones=list(_over_backbones(backbones)),
        order=order,
        systems=systems,
        base=systems[BASELINE],
        published=systems[LASPA],
        gradients=GRADIENTS,
        paired=paired,
        best="distance_detached" if "distance_detached" in systems else LASPA,
    )


def _over_backbones(
    rows: dict[str, dict[str, Any]],
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any] | None]]:
    """Encoder, system, row, and the row of the baseline over this encoder: none for the baseline itself."""
    for name, one in rows.items():
        encoder, _, system = name.rpartition("-")
        yield encoder, system, one, rows.get(f"{encoder}-{BASELINE}") if system != BASELINE else None
