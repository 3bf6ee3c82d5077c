"""`laspa tune confirm`: the best of a sweep beside the params as they stand, on the full budget and on test.

Run after the sweep and before its best is applied. What is finished is kept if it is killed. Dev chose;
the test split is read here, once.
"""

from pathlib import Path
from typing import Any

import yaml

from laspa.errors import LaspaError
from laspa.files import read_json
from laspa.params import Params, load_params, with_overrides
from laspa.tuning.confirmation import DEFAULT, FOUND, confirmation, in_words
from laspa.tuning.outcome import BEST_FILE, read_outcome, write_outcome
from laspa.tuning.space import Values
from pipelines import stage
from pipelines.systems import measure_once
from pipelines.tune import RESULTS, tables

MEASURED = Path("data/.partial/confirm_results")


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    trials = read_outcome(RESULTS)
    best: Values = yaml.safe_load((RESULTS / BEST_FILE).read_text(encoding="utf-8"))
    found = with_overrides(params, best, str(RESULTS / BEST_FILE))
    if found == params:
        raise LaspaError(
            f"{RESULTS / BEST_FILE}: its values stand in params.yaml already; confirm compares them with the "
            "params of before: run it before `laspa tune apply`, or take the old ones back (git checkout)"
        )
    data = tables(params.tune.data, ("manifest.parquet", "trials", "features"))
    for name, system in ((DEFAULT, params), (FOUND, found)):
        runs = {seed: with_overrides(system, {"seed": seed}) for seed in params.tune.confirm_seeds}
        measure_once(name, "confirm", runs, data, MEASURED)
    confirmed = confirmation(best, *(_results(name, params) for name in (DEFAULT, FOUND)))
    write_outcome(RESULTS, params, trials, confirmed)
    print(in_words(confirmed))


def _results(system: str, params: Params) -> list[dict[str, Any]]:
    return [read_json(MEASURED / system / f"seed-{seed}.json") for seed in params.tune.confirm_seeds]


if __name__ == "__main__":
    stage.run(main)
