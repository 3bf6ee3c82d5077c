"""Under which names MLflow keeps what is measured; docs/tracking.md lists them."""

from typing import Any

from laspa.evaluation.error_rates import RATES
from laspa.evaluation.evaluate import PRIORS
from laspa.models.losses import TERMS

WHOLE_TEST_METRICS = (
    "language_probe_accuracy",
    "language_probe_chance",
    "language_accuracy",
    "mapc",
    "mse",
    "added_parameters_percent",
)
PROBES = ("language_linear", "language_mlp", "speaker")
MAIN_RATES = ("eer", "eer_low", "eer_high", *PRIORS)
FURTHER_RATES = (
    *(f"{name}_{end}" for name in PRIORS for end in ("low", "high")),
    *(name for name in RATES if name not in MAIN_RATES),
)


def epoch_metrics(record: dict[str, Any]) -> dict[str, Any]:
    """One entry of the training history as the arguments of `TrackedRun.log_metrics`."""
    metrics = {f"loss/{term}": record.get(term) for term in TERMS}
    metrics["loss/total"] = record.get("loss")
    metrics |= {name: record.get(name) for name in ("margin", "learning_rate", "grad_norm")}
    for group in ("weighted", "gradient", "attention", "flow", "dev"):
        metrics |= {f"{group}/{name}": value for name, value in (record.get(group) or {}).items()}
    return {"metrics": metrics, "step": record["epoch"]}


def evaluation_metrics(metrics: dict[str, Any]) -> dict[str, float | None]:
    """reports/metrics.json, or an ablation's result, under flat names: `eer/cross_same`, `unseen/eer/all`."""
    flat: dict[str, float | None] = {name: metrics.get(name) for name in WHOLE_TEST_METRICS}
    parts = {"": metrics.get("conditions"), "seen/": metrics.get("seen"), "unseen/": metrics.get("unseen")}
    parts |= {f"{title}/": found["conditions"] for title, found in metrics.get("official", {}).items()}
    for prefix, rates in parts.items():
        flat |= _by_condition(prefix, rates or {}, MAIN_RATES)
    return flat


def analysis_metrics(
    probe: dict[str, Any], detail: dict[str, Any], gradients: dict[str, Any], **_: Any
) -> dict[str, float | None]:
    """What the stage evaluate writes beside its metrics: `probe/speaker/language_mlp`, `cllr/all`, …"""
    flat: dict[str, float | None] = {}
    for kind, found in probe.items():
        flat |= {f"probe/{kind}/{name}": found[name]["accuracy"] for name in PROBES}
        flat |= {f"variance/{kind}/{name}": share for name, share in found["variance"].items()}
    for part, terms in gradients.items():
        flat |= {f"gradient/{part}/{term}": norm for term, norm in terms.items()}
    for prefix, scores, names in (("", "cosine", FURTHER_RATES), ("as_norm/", "as_norm", MAIN_RATES)):
        flat |= _by_condition(prefix, detail[scores]["all"] | detail[scores]["condition"], names)
    return flat


def _by_condition(prefix: str, found: dict[str, Any], names: tuple[str, ...]) -> dict[str, float | None]:
    """`PREFIX NAME/CONDITION`; a condition that the list does not have is left out."""
    return {
        f"{prefix}{name}/{condition}": rates.get(name)
        for condition, rates in found.items()
        for name in names
        if rates
    }
