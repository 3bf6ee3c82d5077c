"""`make tune`: a search over the space of params.yaml on Ray, and its best params against the old ones."""

import hashlib
import json
from pathlib import Path
from typing import Any

from laspa.experiment import TrainingData, load_training_data
from laspa.files import atomic_path, write_json, write_text
from laspa.params import Params, load_params, with_overrides
from laspa.report.summary import interval
from laspa.report.svg import file_svg
from laspa.tuning.outcome import (
    FAILED,
    FINISHED,
    METRIC,
    best_of,
    command_line,
    importances,
    table_of,
    write_best,
)
from laspa.tuning.plots import importance_bars, parallel_coordinates, summary_of
from laspa.tuning.space import Changes, draw_trials
from pipelines import stage, tracking
from pipelines.sweep import ray_session, run_sweep
from pipelines.trial_runs import TrialRuns

RESULTS = Path("reports/tune")


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    trials = draw_trials(params)
    data = load_training_data(Path("data"))
    budget = {"train.epochs": params.tune.epochs, "train.dev_every": 1, "train.patience": 0}
    budget["train.fine_tune.epochs"] = 0
    with ray_session(params):
        short = with_overrides(params, budget)
        table = table_of(_run(short, data, trials, "sweep"), trials, params.tune.epochs)
        number, best = best_of(table, trials)
        confirmation = _confirmed(params, data, best) if params.tune.confirm_seeds else None
    shares = importances(table, list(params.tune.space))
    with atomic_path(RESULTS) as folder:
        folder.mkdir()
        table.to_csv(folder / "trials.csv", index=False, lineterminator="\n")
        write_best(folder / "best.yaml", best)
        figure = parallel_coordinates(table, summary_of(params.tune.space), number)
        write_text(folder / "parallel.svg", file_svg(figure))
        if shares:
            write_text(folder / "importance.svg", file_svg(importance_bars(shares)))
        counts = table["status"].value_counts().to_dict()
        found = {"trials": counts, "best_trial": number, "importance": shares, "confirmation": confirmation}
        write_json(folder / "summary.json", found)
    print(_told(table, number, best, confirmation))


def _run(params: Params, data: TrainingData, trials: list[Changes], kind: str, early: bool = True) -> Any:
    """A sweep as a tracked run with its trials nested; the same sweep, interrupted, goes on."""
    what = json.dumps([params.model_dump(exclude={"ablate", "study"}), trials, data.digest], default=str)
    name = f"{kind}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"
    with tracking.continued_run(kind, "tune", params, {"laspa.sweep": name, "laspa.trial": "all"}) as run:
        grid = run_sweep(params, data, trials, name, [TrialRuns(params, trials, name, run.run_id)], early)
        done = [result.metrics[METRIC] for result in grid if result.metrics and METRIC in result.metrics]
        run.log_metrics({"best_dev_eer": min(done, default=None), "trials": len(trials)})
    return grid


def _confirmed(params: Params, data: TrainingData, best: Changes) -> dict[str, Any]:
    """Dev EERs of the best params and of the old by seed, on the full budget, and their difference."""
    seeds = params.tune.confirm_seeds
    kinds: dict[str, Changes] = {"old": {}, "best": best}
    trials = [changes | {"seed": seed} for changes in kinds.values() for seed in seeds]
    table = table_of(_run(params, data, trials, "confirm", early=False), trials, params.train.epochs)
    eers = dict(zip(table["trial"], table[METRIC], strict=True))
    values = {
        kind: [float(eers[place * len(seeds) + index]) for index in range(len(seeds))]
        for place, kind in enumerate(kinds)
    }
    gained = [best_eer - old for best_eer, old in zip(values["best"], values["old"], strict=True)]
    return {kind: interval(found) for kind, found in values.items()} | {"difference": interval(gained)}


def _told(table: Any, number: int, best: Changes, confirmation: dict[str, Any] | None) -> str:
    counts = table["status"].value_counts()
    lowest = table.loc[table["trial"] == number, METRIC].item()
    lines = [
        f"{len(table)} trials: {counts.get(FINISHED, 0)} finished, {counts.get('pruned', 0)} stopped early, "
        f"{counts.get(FAILED, 0)} failed",
        f"Best: trial {number}, EER on dev {100 * lowest:.1f} %",
        *(f"  {name}: {value}" for name, value in best.items()),
    ]
    if confirmation:
        mean = {kind: 100 * found["mean"] for kind, found in confirmation.items()}
        low, high = confirmation["difference"]["low"], confirmation["difference"]["high"]
        ends = "" if low is None else f" (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
        lines.append(
            f"On the full budget: {mean['best']:.1f} % against {mean['old']:.1f} % with the params as they "
            f"stand, {mean['difference']:+.2f} points{ends}"
        )
    return "\n".join([*lines, f"Try it      {command_line(best)}", "Take it over   laspa tune apply"])


if __name__ == "__main__":
    stage.run(main)
