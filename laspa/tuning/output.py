"""What a sweep writes at its end: the table of trials, the best params, plots and a page, in one folder."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from laspa.errors import LaspaError
from laspa.files import atomic_path, parsed, read_json
from laspa.params import Params
from laspa.params.loading import yaml_scalar
from laspa.report.html import environment
from laspa.report.svg import PageFigure, file_svg, page_svg
from laspa.tuning.confirmation import confirmation_text
from laspa.tuning.figures import importance_figure, parallel_figure
from laspa.tuning.importance import FEWEST_TRIALS, importances
from laspa.tuning.space import search_space
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, STOPPED, Trial

BEST_FILE, TRIALS_FILE, CONFIRMED_FILE = "best.yaml", "trials.json", "confirmed.json"
PERCENT = 100


def write_output(
    folder: Path, params: Params, trials: list[Trial], confirmed: dict[str, Any] | None = None
) -> Trial:
    """Write trials.csv, trials.json, best.yaml, the plots and index.html; return the best trial.

    Args:
        confirmed: of `laspa.tuning.confirmation`, for the page and confirmed.json.

    Raises:
        LaspaError: no trial finished; the message says why.
    """
    best = best_trial(trials)
    assert best.best is not None
    dimensions = search_space(params)
    found = importances(dimensions, trials, params.tune.seed)
    figures = {"parallel": parallel_figure(dimensions, trials, best)}
    if found is not None:
        figures["importance"] = importance_figure(found)
    rows = [_row(trial) for trial in trials]
    page = (
        environment("laspa.tuning", svg=page_svg)
        .get_template("sweep.html")
        .render(
            figures={name: PageFigure(figure, wide=True) for name, figure in figures.items()},
            rows=sorted(rows, key=_place),
            best=best.number,
            rate=best.best,
            importance=found,
            confirmed=None if confirmed is None else confirmation_text(confirmed),
            fewest=FEWEST_TRIALS,
        )
    )
    header = f"# Trial {best.number} of {len(trials)}: {PERCENT * best.best:.2f} % EER on dev.\n"
    texts = {
        # As objects, so that a whole number in a column of numbers stays one.
        "trials.csv": pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n"),
        TRIALS_FILE: json.dumps([_record(trial) for trial in trials], indent=2, allow_nan=False) + "\n",
        BEST_FILE: header + "".join(f"{name}: {yaml_scalar(value)}\n" for name, value in best.values.items()),
        "index.html": page,
        **{f"{name}.svg": file_svg(figure) for name, figure in figures.items()},
    }
    if confirmed is not None:
        texts[CONFIRMED_FILE] = json.dumps(confirmed, indent=2, sort_keys=True, allow_nan=False) + "\n"
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
    return best


def _place(row: dict[str, Any]) -> tuple[int, float, int]:
    """Of a row of the page: those with all their epochs first, by EER."""
    order = (FINISHED, PRUNED, STOPPED, row["status"])
    return order.index(row["status"]), row["dev_eer"] or 1.0, row["trial"]


def read_trials(folder: Path) -> list[Trial]:
    """The trials that `write_output` wrote, with what it needs of them.

    Raises:
        LaspaError: no sweep has been written there.
    """
    if not (folder / TRIALS_FILE).exists():
        raise LaspaError(f"{folder / TRIALS_FILE}: no such file; run the sweep (laspa tune)")
    trials = []
    with parsed(folder / TRIALS_FILE, "the trials of a sweep", "run the sweep (laspa tune)"):
        for kept in read_json(folder / TRIALS_FILE):
            history = [{"epoch": epoch, "dev": dev} for epoch, dev in enumerate(kept["dev"], start=1)]
            same = {name: kept[name] for name in ("values", "status", "retries", "error")}
            trials.append(Trial(number=kept["trial"], key="", history=history, **same))
    return trials


def best_trial(trials: list[Trial]) -> Trial:
    """The trial with all its epochs and the lowest EER on dev; the first of equal ones.

    Raises:
        LaspaError: no trial finished; the message says why.
    """
    finished = [trial for trial in trials if trial.status == FINISHED and trial.best is not None]
    if finished:
        return min(finished, key=lambda trial: (trial.best, trial.number))
    failed = [trial for trial in trials if trial.status == FAILED]
    if len(failed) == len(trials):
        raise LaspaError(
            f"all {len(trials)} trials failed; the first: {failed[0].error}; mend that, start again"
        )
    raise LaspaError(
        f"params.yaml: tune.max_hours ended before the first of {len(trials)} trials did; raise it and start "
        "again to resume"
    )


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "status": trial.status,
        "epochs": len(trial.history),
        "dev_eer": trial.best,
        **trial.values,
        "retries": trial.retries,
        "error": trial.error or "",
    }


def _record(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "status": trial.status,
        "values": trial.values,
        "dev_eer": trial.best,
        "dev": [record["dev"] for record in trial.history],
        "retries": trial.retries,
        "error": trial.error,
    }
