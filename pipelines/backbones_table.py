"""What pipelines.backbones measured as one small table, which is in git and in docs/replication.md."""

from pathlib import Path
from typing import Any

from laspa.files import sha256_file, write_json
from laspa.report.seeds import over_seeds, read_seeds
from pipelines import stage

SYSTEMS, TABLE = Path("studies/backbones/systems"), Path("studies/backbones.json")
MANIFEST = Path("data/manifest.parquet")
KEPT = ("seeds", "epochs", "trial_list", "language_probe_accuracy", "added_parameters_percent")


def main() -> None:
    write_json(TABLE, {"manifest_sha256": sha256_file(MANIFEST), "systems": table(read_seeds(SYSTEMS))})


def table(seeds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """By ENCODER-SYSTEM its EERs, over seeds: by condition, of all, seen and unseen languages."""
    found = {}
    for name, one in over_seeds(seeds)["systems"].items():
        found[name] = {key: one[key] for key in KEPT}
        for part in ("conditions", "seen", "unseen"):
            found[name][part] = {condition: rates["eer"] for condition, rates in one[part].items()}
    return found


if __name__ == "__main__":
    stage.run(main)
