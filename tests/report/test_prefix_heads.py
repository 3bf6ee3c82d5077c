"""EER on dev by prefix length and heads, from cells worked by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.report.prefix_heads import (
    NOT_MEASURED,
    against_no_prefix,
    collect,
    compared_condition,
    read_prefix_heads,
)

ERRORS = {(0, 2): (0.30, 0.32), (8, 2): (0.31, 0.31), (8, 1): (0.2, 0.2)}  # of two seeds


def write_cells(folder: Path, epochs: int = 3) -> None:
    for (prefix, heads), errors in ERRORS.items():
        for seed, error in enumerate(errors, start=1):
            result: dict[str, Any] = {
                "seed": seed,
                "epochs": epochs,
                "conditions": {"cross_same": {"eer": error}, "all": {"eer": error / 2}},
                "trial_list": {"name": "dev", "sha256": "ab", "trials": 9, "speakers": 3},
                "added_parameters_percent": 1.5,
                "history": [{"attention": None}, {"attention": {"speaker": 0.1 * seed}}],
            }
            place = folder / f"prefix-{prefix}-heads-{heads}" / f"seed-{seed}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(result))


def test_cells_in_order_with_mean_interval_and_prefix_share(tmp_path: Path) -> None:
    write_cells(tmp_path)
    grid = collect(tmp_path, "cd")
    assert [(cell["prefix_len"], cell["num_heads"]) for cell in grid["cells"]] == [(0, 2), (8, 1), (8, 2)]
    assert grid["seeds"] == [1, 2]
    assert (grid["epochs"], grid["manifest_sha256"], grid["trial_list"]["name"]) == (3, "cd", "dev")
    first = grid["cells"][0]
    eers = first["eer"]["cross_same"]
    assert eers["mean"] == pytest.approx(0.31)
    # t(0.975, 1) = 12.706 times 0.01, half the distance of the two.
    assert eers["high"] - eers["mean"] == pytest.approx(0.12706, abs=1e-5)
    assert first["prefix_share"] == {"speaker": pytest.approx(0.15)}
    assert first["added_parameters_percent"] == 1.5
    assert "same_same" not in first["eer"]
    assert compared_condition(grid) == "cross_same"


def test_a_cell_is_paired_with_the_one_of_as_many_heads_and_no_prefix(tmp_path: Path) -> None:
    write_cells(tmp_path)
    grid = collect(tmp_path, "cd")
    none, alone, paired = grid["cells"]
    assert against_no_prefix(grid, none, "cross_same") is None
    assert against_no_prefix(grid, alone, "cross_same") is None  # one head was not measured without prefix
    found = against_no_prefix(grid, paired, "cross_same")
    assert found
    assert found["values"] == pytest.approx([0.01, -0.01])
    assert found["mean"] == pytest.approx(0)


def test_what_cannot_be_one_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="no SYSTEM"):
        collect(tmp_path, "cd")
    write_cells(tmp_path)
    place = tmp_path / "prefix-8-heads-2/seed-1.json"
    place.write_text(place.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(LaspaError, match="prefix-8-heads-2 was measured with other seeds, epochs or trials"):
        collect(tmp_path, "cd")
    write_cells(tmp_path)
    (tmp_path / "prefix-8-heads-2").rename(tmp_path / "eight")
    with pytest.raises(LaspaError, match="eight: expected a folder prefix-N-heads-N"):
        collect(tmp_path, "cd")


def test_the_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.json"
    assert read_prefix_heads(file) is None
    file.write_text(json.dumps(NOT_MEASURED))
    assert read_prefix_heads(file) is None
    file.write_text("[]")
    with pytest.raises(LaspaError, match="no table of a grid"):
        read_prefix_heads(file)
