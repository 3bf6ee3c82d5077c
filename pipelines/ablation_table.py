"""What pipelines.ablate measured as one small table, which is in git and in the report."""

from pathlib import Path
from typing import Any

from laspa.files import sha256_file, write_json
from laspa.report.seeds import over_seeds, read_seeds
from pipelines import stage

SYSTEMS, TABLE = Path("studies/ablation/systems"), Path("studies/ablation.json")
MANIFEST = Path("data/manifest.parquet")


# Of each system; of a condition only the rates that the report shows.
KEPT = ("seeds", "epochs", "trial_list", "language_probe_accuracy", "mapc", "added_parameters_percent")
RATES = ("eer", "min_dcf_01")


def main() -> None:
    write_json(TABLE, {"manifest_sha256": sha256_file(MANIFEST), "systems": table(read_seeds(SYSTEMS))})


def table(seeds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Each system over seeds, without what the report does not show."""
    found = {}
    for name, system in over_seeds(seeds)["systems"].items():
        found[name] = {key: system[key] for key in KEPT}
        found[name]["conditions"] = {
            condition: {rate: rates[rate] for rate in RATES}
            for condition, rates in system["conditions"].items()
        }
    return found


if __name__ == "__main__":
    stage.run(main)
