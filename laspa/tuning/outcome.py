"""What a sweep found: the table of its trials, the best params, and which of them matter."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from ruamel.yaml import YAML
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.params import check_value, load_params, value_of, with_overrides
from laspa.tuning.space import Changes

METRIC = "eer"  # of dev: the first of the conditions that the corpus has
FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"
FEWEST_FOR_IMPORTANCE = 8
TREES, REPEATS = 200, 20


def table_of(results: Iterable[Any], trials: list[Changes], epochs: int) -> pd.DataFrame:
    """One row a trial: number, status, epochs, lowest dev EER, EER after the first epoch, seconds, values.

    Failed trials that reached no epoch have no EER.

    Args:
        results: as Ray Tune's ResultGrid has them: `config`, `error` and `metrics_dataframe` of each.
    """
    rows = []
    for result in results:
        history = result.metrics_dataframe
        reached = 0 if history is None or history.empty else int(history["epoch"].max())
        number = int((result.config or {})["trial"])
        status = FAILED if result.error else FINISHED if reached >= epochs else PRUNED
        rows.append(
            {
                "trial": number,
                "status": status,
                "epochs": reached,
                METRIC: float(history[METRIC].min()) if reached else None,
                "first_eer": float(history[METRIC].iloc[0]) if reached else None,
                "seconds": round(float(history["time_total_s"].max()), 1) if reached else None,
                **trials[number],
            }
        )
    return pd.DataFrame(rows).sort_values("trial").reset_index(drop=True)


def best_of(table: pd.DataFrame, trials: list[Changes]) -> tuple[int, Changes]:
    """Number and changes of the finished trial with the lowest dev EER.

    Raises:
        LaspaError: none finished.
    """
    finished = table[table["status"] == FINISHED]
    if finished.empty:
        raise LaspaError("tune: no trial finished; raise tune.hours, or see why the trials failed")
    number = int(finished.loc[finished[METRIC].idxmin(), "trial"])
    return number, trials[number]


def importances(table: pd.DataFrame, names: list[str]) -> dict[str, float]:
    """How much of the EER after the first epoch, which all trials have, hangs on each param.

    The loss of a random forest's R² when the param is shuffled (Breiman, 2001), as shares of 1; empty
    for fewer than FEWEST_FOR_IMPORTANCE trials.
    """
    known = table.dropna(subset=["first_eer"])
    if len(known) < FEWEST_FOR_IMPORTANCE:
        return {}
    columns = [
        known[name].astype(float)
        if pd.api.types.is_numeric_dtype(known[name])
        else known[name].factorize()[0]
        for name in names
    ]
    values, target = np.column_stack(columns), known["first_eer"].to_numpy(dtype=float)
    forest = RandomForestRegressor(TREES, random_state=0).fit(values, target)
    loss = permutation_importance(forest, values, target, n_repeats=REPEATS, random_state=0)
    gain = np.clip(loss["importances_mean"], 0, None)
    total = gain.sum()
    return {
        name: float(share)
        for name, share in sorted(
            zip(names, gain / total if total else gain, strict=True), key=lambda item: -item[1]
        )
    }


def write_best(path: Path, changes: Changes) -> None:
    """The best params by dotted name, as YAML."""
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(changes, sort_keys=False), encoding="utf-8")


def read_best(path: Path) -> Changes:
    """What `write_best` wrote.

    Raises:
        LaspaError: a missing file, or one that is not of dotted names and values.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the sweep (make tune)") from None
    except yaml.YAMLError as error:
        raise LaspaError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(found, dict):
        raise LaspaError(f"{path}: should hold names of params and values, but is {found!r}")
    return found


def apply_best(params_file: Path, changes: Changes) -> dict[str, tuple[Any, Any]]:
    """Write the values into params.yaml, its comments kept, or nothing.

    Returns:
        old and new value of each name that changed.

    Raises:
        LaspaError: an unknown name or a value that is not allowed.
    """
    params = load_params(params_file)
    for name, value in changes.items():
        check_value(name, value, str(params_file))
    with_overrides(params, changes, str(params_file))
    yaml_file = YAML()
    yaml_file.preserve_quotes = True
    yaml_file.width = 200
    document = yaml_file.load(params_file.read_text(encoding="utf-8"))
    changed = {}
    for name, value in changes.items():
        old = value_of(params, name)
        if old != value:
            changed[name] = (old, value)
            *parents, key = name.split(".")
            section = document
            for parent in parents:
                section = section[parent]
            section[key] = value
    with atomic_path(params_file) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml_file.dump(document, file)
    return changed


def command_line(changes: Changes) -> str:
    """The `dvc exp run` that tries these values."""
    return " ".join(["dvc exp run", *(f"-S {name}={value}" for name, value in changes.items())])
