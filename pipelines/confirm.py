"""`laspa tune confirm`: the best of a sweep beside the current params, on the full budget and on test.

Run it after the sweep and before its best is applied. If it is killed, what is finished is kept. The best
was chosen on dev; the test split is read here, once.
"""

from functools import partial
from pathlib import Path

from laspa.errors import LaspaError
from laspa.files import read_json
from laspa.params import load_params, with_overrides
from laspa.params.loading import read_yaml
from laspa.tuning.confirmation import DEFAULT, FOUND, confirmation, confirmation_text
from laspa.tuning.output import BEST_FILE, read_trials, write_output
from laspa.tuning.space import Values
from laspa.tuning.storage import tables
from pipelines import stage
from pipelines.studies.measure import measure_once, with_seeds
from pipelines.tune import COPIES, RESULTS

MEASURED = Path("data/.partial/confirm_results")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    params = params.resolve(params.tune.system)
    trials = read_trials(RESULTS)
    file = RESULTS / BEST_FILE
    best: Values = read_yaml(file)
    found = with_overrides(params, best, str(file))
    if found == params:
        raise LaspaError(
            f"{file}: params.yaml has its values already; confirm compares them with the params from before: "
            "run it before `laspa tune apply`, or take the old ones back (git checkout)"
        )
    data = tables(params.tune.data, ("manifest.parquet", "trials", "features"), COPIES)
    results = {}
    for name, system in ((DEFAULT, params), (FOUND, found)):
        runs = with_seeds(system, params.tune.confirm_seeds)
        measure_once(name, "confirm", runs, data, MEASURED)
        results[name] = [read_json(MEASURED / name / f"seed-{seed}.json") for seed in runs]
    confirmed = confirmation(best, results[DEFAULT], results[FOUND])
    write_output(RESULTS, params, trials, confirmed)
    print(confirmation_text(confirmed))


command = partial(stage.run, main)  # of `laspa tune confirm`

if __name__ == "__main__":
    command()
