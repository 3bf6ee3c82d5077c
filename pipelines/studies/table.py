"""What a study measured as one small file, studies/STUDY.json, which is in git.

Usage: python -m pipelines.studies.table STUDY, which is ablation, prefix_heads, backbones or adapt
"""

from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import read_json, sha256_file, write_json, write_text
from laspa.params.messages import unknown_choice
from laspa.report.prefix_heads import collect
from laspa.report.seeds import over_seeds, read_seeds
from pipelines import stage

STUDIES, MANIFEST = Path("studies"), Path("data/manifest.parquet")
# Of each system; of a condition only the rates that are shown somewhere.
KEPT = ("seeds", "epochs", "trial_list", "language_probe_accuracy", "added_parameters_percent")
RATES = ("eer", "min_dcf_01")
CONDITIONS = ("all", "cross_cross", "cross_same", "same_same")  # as in laspa/backend/verdict.py


def main() -> None:
    name = stage.argument("studies.table", "STUDY")
    if name not in TABLES:
        raise LaspaError(unknown_choice("studies.table", name, TABLES))
    write_json(STUDIES / f"{name}.json", TABLES[name](STUDIES / name))


def _ablation(folder: Path) -> dict[str, Any]:
    systems = {}
    for name, one in over_seeds(read_seeds(folder / "systems"))["systems"].items():
        systems[name] = {key: one[key] for key in (*KEPT, "mapc")}
        systems[name]["conditions"] = {
            condition: {rate: rates[rate] for rate in RATES} for condition, rates in one["conditions"].items()
        }
    return {"manifest_sha256": sha256_file(MANIFEST), "systems": systems}


def _prefix_heads(folder: Path) -> dict[str, Any]:
    return collect(folder / "cells", sha256_file(MANIFEST))


def _backbones(folder: Path) -> dict[str, Any]:
    """By ENCODER-SYSTEM its EERs: of all, seen and unseen languages, and of other voices where there are any.

    `pair_norm` and `other_pair_norm` are those of all languages and of other voices with pair norm.

    What the file has of the same corpus stays until it is measured anew: all of it takes a CPU many hours.
    """
    manifest, file = sha256_file(MANIFEST), folder.with_suffix(".json")
    systems = of_the_same_corpus(read_json(file) if file.exists() else {}, manifest)
    for name, one in over_seeds(read_seeds(folder / "systems"))["systems"].items():
        systems[name] = {key: one[key] for key in KEPT}
        parts = {part: one[part] for part in ("conditions", "seen", "unseen")}
        parts["pair_norm"] = one["pair_norm"]["conditions"]
        if "other" in one:
            parts["other"] = one["other"]["conditions"]
            parts["other_pair_norm"] = one["other"]["pair_norm"]["conditions"]
        for part, conditions in parts.items():
            systems[name][part] = {condition: rates["eer"] for condition, rates in conditions.items()}
    return {"manifest_sha256": manifest, "systems": systems}


def of_the_same_corpus(before: dict[str, Any], manifest: str) -> dict[str, Any]:
    """The systems of a table that was written before; none if its manifest was another."""
    found: dict[str, Any] = before.get("systems", {})
    return found if before.get("manifest_sha256") == manifest else {}


def _adapt(folder: Path) -> dict[str, Any]:
    """By set and allowed parts the verdict; also the rows of the table in docs/adapting.md."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((folder / "verdicts").glob("*.json")):
        name, _, parts = file.stem.partition("-")
        found.setdefault(name, {})[parts] = read_json(file)
    write_text(folder / "table.md", adapt_rows(found))
    return found


TABLES = {"ablation": _ablation, "prefix_heads": _prefix_heads, "backbones": _backbones, "adapt": _adapt}


def adapt_rows(found: dict[str, dict[str, Any]]) -> str:
    """A row for each set and the parts that were allowed: EER in %, and whether the backend is used."""
    columns = ["set", "parts allowed", *CONDITIONS, "used"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, verdicts in found.items():
        for allowed, verdict in verdicts.items():
            cells = [_cell(verdict["compared"].get(condition)) for condition in CONDITIONS]
            used = ", ".join(verdict["parts"]) if verdict["pays"] else "no"
            lines.append(f"| {name} | {allowed} | {' | '.join(cells)} | {used} |")
    return "\n".join([*lines, ""])


def _cell(one: dict[str, float] | None) -> str:
    """`4.98 → 1.73 (−5.49 to −1.66)`: before, after, and the interval of the change in points."""
    if one is None:
        return "–"
    first, second, low, high = (100 * one[key] for key in ("first", "second", "low", "high"))
    return f"{first:.2f} → {second:.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−")


if __name__ == "__main__":
    stage.run(main)
