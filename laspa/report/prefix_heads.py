"""EER on dev by prefix length and head count: the table that `studies/prefix_heads` writes."""

import re
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import read_json
from laspa.report.seeds import interval, over_seeds, read_seeds
from laspa.report.summary import MAIN_CONDITIONS, rate

CELL = re.compile(r"prefix-(\d+)-heads-(\d+)")
PrefixHeads = dict[str, Any]
NOT_MEASURED: PrefixHeads = {"cells": []}  # in git until somebody measures it: the report depends on the file


def collect(folder: Path, manifest_sha256: str) -> PrefixHeads:
    """All cells under `folder`, as `pipelines.studies.run` wrote them.

    Returns:
        What all cells share (`seeds`, `epochs`, the dev `trial_list`, `manifest_sha256`), and `cells`
        in the order of prefix length and heads: `prefix_len`, `num_heads`, `eer.CONDITION` with mean
        and t-interval over seeds, `added_parameters_percent`, and `prefix_share`, the attention's
        share on the prefix of each tuner at the end of training, mean over seeds.

    Raises:
        LaspaError: no cells, or cells of different seeds, budgets or trial lists.
    """
    results = read_seeds(folder)
    shared = [
        {"seeds": [one["seed"] for one in seeds]} | {key: seeds[0][key] for key in ("epochs", "trial_list")}
        for seeds in results.values()
    ]
    if different := [name for name, one in zip(results, shared, strict=True) if one != shared[0]]:
        raise LaspaError(
            f"{folder}: {different[0]} was measured with other seeds, epochs or trials than "
            f"{next(iter(results))}; run the grid anew (dvc --cd studies/prefix_heads repro)"
        )
    summary = over_seeds(results)
    cells = []
    for name, seeds in results.items():
        if not (size := CELL.fullmatch(name)):
            raise LaspaError(f"{folder / name}: expected a folder prefix-N-heads-N; remove it")
        last = [one["history"][-1].get("attention") or {} for one in seeds]
        shares = {side: interval([one[side] for one in last])["mean"] for side in sorted(last[0])}
        cells.append(
            {
                "prefix_len": int(size[1]),
                "num_heads": int(size[2]),
                "eer": {key: eers for key in MAIN_CONDITIONS if (eers := rate(summary, name, key))},
                "added_parameters_percent": seeds[0]["added_parameters_percent"],
                "prefix_share": shares,
            }
        )
    cells.sort(key=lambda cell: (cell["prefix_len"], cell["num_heads"]))
    return {**shared[0], "manifest_sha256": manifest_sha256, "cells": cells}


def read_prefix_heads(path: Path) -> PrefixHeads | None:
    """What `collect` returned, from its file; None where there is none, or one without cells.

    Raises:
        LaspaError: the file holds something else.
    """
    found = read_json(path) if path.exists() else NOT_MEASURED
    if found == NOT_MEASURED:
        return None
    if not isinstance(found, dict) or not found.get("cells"):
        raise LaspaError(f"{path}: no table of a grid; run it anew (dvc --cd studies/prefix_heads repro)")
    return found


def compared_condition(table: PrefixHeads) -> str:
    """The condition that matters most of those that every cell has."""
    return next(name for name in MAIN_CONDITIONS if all(name in cell["eer"] for cell in table["cells"]))


def against_no_prefix(table: PrefixHeads, cell: dict[str, Any], condition: str) -> dict[str, Any] | None:
    """A cell's EER minus that of the cell with as many heads and no prefix, paired by seed."""
    if cell["prefix_len"] == 0:
        return None
    for other in table["cells"]:
        if other["prefix_len"] == 0 and other["num_heads"] == cell["num_heads"]:
            pairs = zip(cell["eer"][condition]["values"], other["eer"][condition]["values"], strict=True)
            return interval([ours - theirs for ours, theirs in pairs])
    return None
