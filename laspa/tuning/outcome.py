"""What comes out of a sweep: the table of trials, the best params, plots and a page, in one folder."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import yaml

from laspa.errors import LaspaError
from laspa.files import atomic_path, read_json
from laspa.params import Params
from laspa.report.svg import file_svg
from laspa.tuning.figures import importance_figure, parallel_figure
from laspa.tuning.importance import importances
from laspa.tuning.journal import FAILED, FINISHED, Trial
from laspa.tuning.page import render
from laspa.tuning.space import search_space

BEST_FILE, TRIALS_FILE, CONFIRMED_FILE = "best.yaml", "trials.json", "confirmed.json"
PERCENT = 100


def write_outcome(
    folder: Path, params: Params, trials: list[Trial], confirmed: dict[str, Any] | None = None
) -> Trial:
    """Write trials.csv, trials.json, best.yaml, the plots and index.html; return the best trial.

    Args:
        confirmed: what `laspa.tuning.confirmation` says of the best, for the page and confirmed.json.

    Raises:
        LaspaError: no trial finished; the message says why.
    """
    best = best_trial(trials)
    dimensions = search_space(params)
    found = importances(dimensions, trials, params.tune.seed)
    figures = {"parallel": parallel_figure(dimensions, trials, best)}
    if found is not None:
        figures["importance"] = importance_figure(found)
    rows = [_row(trial) for trial in trials]
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write = {
            "trials.csv": _csv(rows),
            TRIALS_FILE: _json(trials),
            BEST_FILE: _best(best, trials),
            "index.html": render(rows, best.number, figures, found, confirmed),
            **{f"{name}.svg": file_svg(figure) for name, figure in figures.items()},
        }
        if confirmed is not None:
            write[CONFIRMED_FILE] = json.dumps(confirmed, indent=2, sort_keys=True, allow_nan=False) + "\n"
        for name, text in write.items():
            (temporary / name).write_text(text, encoding="utf-8")
    return best


def read_outcome(folder: Path) -> list[Trial]:
    """The trials that `write_outcome` wrote, with what it needs of them.

    Raises:
        LaspaError: no sweep has been written there.
    """
    if not (folder / TRIALS_FILE).exists():
        raise LaspaError(f"{folder / TRIALS_FILE}: no such file; run the sweep (laspa tune)")
    return [
        Trial(
            number=kept["trial"],
            key="",
            values=kept["values"],
            status=kept["status"],
            history=[{"epoch": epoch, "dev": dev} for epoch, dev in enumerate(kept["dev"], start=1)],
            retries=kept["retries"],
            error=kept["error"],
        )
        for kept in read_json(folder / TRIALS_FILE)
    ]


def best_trial(trials: list[Trial]) -> Trial:
    """The trial of the whole budget with the lowest EER on dev, the earliest of equals."""
    finished = [trial for trial in trials if trial.status == FINISHED and trial.best is not None]
    if finished:
        return min(finished, key=lambda trial: (trial.best, trial.number))
    failed = [trial for trial in trials if trial.status == FAILED]
    if len(failed) == len(trials):
        raise LaspaError(f"all {len(trials)} trials failed; the first: {failed[0].error}")
    raise LaspaError(
        f"params.yaml: tune.max_hours ended before the first of {len(trials)} trials did; raise it and start "
        "again, to go on from here"
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


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(trials: list[Trial]) -> str:
    kept = [
        {
            "trial": trial.number,
            "status": trial.status,
            "values": trial.values,
            "dev_eer": trial.best,
            "dev": [record["dev"] for record in trial.history],
            "retries": trial.retries,
            "error": trial.error,
        }
        for trial in trials
    ]
    return json.dumps(kept, indent=2, allow_nan=False) + "\n"


def _best(best: Trial, trials: list[Trial]) -> str:
    assert best.best is not None
    header = f"# Trial {best.number} of {len(trials)}: {PERCENT * best.best:.2f} % EER on dev.\n"
    return header + yaml.safe_dump(best.values, sort_keys=False)
