"""The model card: a README.md as model hubs read it, written from the evaluation."""

from typing import Any

import jinja2
import pandas as pd
import yaml

from laspa.corpora.catalogue import CORPORA, EMBEDDED
from laspa.corpora.corpus import Corpus
from laspa.evaluation.calibration import EER
from laspa.params.dotted import flatten
from laspa.recogniser.decision import MIN_SPEECH
from laspa.trials.conditions import CONDITIONS
from laspa.trials.splits import PARTS, rows_of_split

OWN_LICENCE = "apache-2.0"  # of the code, and of models trained on the embedded corpus alone
TAGS = ["speaker-verification", "speaker-recognition", "speaker-embedding", "cross-lingual"]


def render_card(
    name: str,
    digest: str,
    config: dict[str, Any],
    calibration: dict[str, Any] | None,
    why_none: str,
    metrics: dict[str, Any],
    manifest: pd.DataFrame,
    heard_by: str | None,
) -> str:
    """The card as Markdown with YAML front matter; the same results give the same bytes. Arguments are
    those of `package`, and what it has found."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("laspa.packaging"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"interval": _interval, "threshold": _threshold}
    parts = {split: rows_of_split(manifest, split) for split in PARTS}
    licence = OWN_LICENCE if _embedded(parts["train"]) else "other"
    return environment.get_template("README.md").render(
        front_matter=_front_matter(name, config, metrics, licence, _corpora(parts["test"])),
        name=name,
        heard_by=heard_by,
        digest=digest,
        config=config,
        calibration=calibration,
        why_none=why_none,
        metrics=metrics,
        system=flatten(config["system"]),
        data=_data(parts),
        corpora=_corpora(parts["train"]),
        conditions=CONDITIONS,
        synthetic=_embedded(manifest),
        own_licence=licence == OWN_LICENCE,
        min_speech=MIN_SPEECH,
    )


def _corpora(rows: pd.DataFrame) -> list[Corpus]:
    return [CORPORA[one] for one in sorted(rows["corpus"].unique()) if one in CORPORA]


def _embedded(rows: pd.DataFrame) -> bool:
    """Whether no recording of a person is among them."""
    return set(rows["corpus"]) <= EMBEDDED


def _front_matter(
    name: str, config: dict[str, Any], metrics: dict[str, Any], licence: str, tested: list[Corpus]
) -> str:
    dataset = {
        "name": f"{', '.join(one.name for one in tested)}, {metrics['trial_list']['name']}",
        "type": "speaker-verification-trials",
        "revision": metrics["trial_list"]["sha256"],
    }
    rates = metrics["conditions"]
    measured = [
        {"type": "eer", "name": f"EER in %, {about.label}", "value": round(100 * rates[condition]["eer"], 2)}
        for condition, about in CONDITIONS.items()
        if condition in rates
    ]
    results = [{"task": {"type": "speaker-verification"}, "dataset": dataset, "metrics": measured}]
    found = {
        "license": licence,
        **({"license_name": "as-the-training-data"} if licence == "other" else {}),
        "language": config["languages"],
        "library_name": "laspa",
        "tags": TAGS,
        "metrics": ["eer"],
        "model-index": [{"name": f"laspa-{name}", "results": results}],
    }
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True).strip()


def _data(parts: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Speakers, utterances, hours and languages of each part of the data that has any."""
    return [
        {
            "split": split,
            "corpora": ", ".join(sorted(rows["corpus"].unique())),
            "speakers": rows["speaker"].nunique(),
            "utterances": len(rows),
            "hours": float((rows["num_samples"] / rows["sample_rate"]).sum() / 3600),
            "languages": ", ".join(sorted(rows["language"].unique())),
        }
        for split, rows in parts.items()
        if len(rows)
    ]


def _threshold(name: str) -> str:
    return "equal error rates" if name == EER else f"FAR {100 * float(name.removeprefix('far_')):g} %"


def _interval(rates: dict[str, float], name: str) -> str:
    """`12.34 (11.00–13.60)` in per cent; without the interval where there is none."""
    keys = (name, f"{name}_low", f"{name}_high")
    rate, *ends = (f"{100 * rates[key]:.2f}" for key in keys if key in rates)
    return f"{rate} ({'–'.join(ends)})" if ends else rate
