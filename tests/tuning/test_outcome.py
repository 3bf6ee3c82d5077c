"""What a sweep found: best, importances, and the params file that takes it over."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laspa.cli import main
from laspa.errors import LaspaError
from laspa.params import load_params
from laspa.report.svg import file_svg
from laspa.tuning.outcome import (
    FAILED,
    FINISHED,
    PRUNED,
    apply_best,
    best_of,
    command_line,
    importances,
    read_best,
    write_best,
)
from laspa.tuning.plots import importance_bars, parallel_coordinates

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table() -> pd.DataFrame:
    """Twenty trials in which the margin decides, the prefix length does a little and the heads nothing."""
    generator = np.random.default_rng(0)
    margin, prefix, heads = generator.random(20), generator.integers(0, 3, 20), generator.integers(1, 3, 20)
    eer = 0.1 + 0.2 * margin + 0.02 * prefix
    status = [PRUNED, *[FINISHED] * 18, FAILED]
    columns = {"trial": range(20), "status": status, "epochs": 4, "eer": eer, "first_eer": eer + 0.1}
    table = pd.DataFrame(columns | {"aam_margin": margin, "prefix_len": prefix, "num_heads": heads})
    table.loc[0, "eer"] = 0.01  # the lowest, but stopped early
    table.loc[19, ["eer", "first_eer"]] = np.nan
    return table


def test_the_best_trial_is_one_that_finished(table):
    number, changes = best_of(table, [{"prefix_len": place} for place in range(20)])
    finished = table[table["status"] == FINISHED]
    assert number == finished.loc[finished["eer"].idxmin(), "trial"] == changes["prefix_len"]
    with pytest.raises(LaspaError, match="no trial finished"):
        best_of(table[table["status"] != FINISHED], [{}] * 20)


def test_importances_are_shares_in_their_order(table):
    shares = importances(table, ["num_heads", "prefix_len", "aam_margin"])
    assert list(shares) == ["aam_margin", "prefix_len", "num_heads"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["aam_margin"] > 0.7
    assert importances(table.head(5), ["num_heads"]) == {}


def test_figures_show_every_trial_that_has_an_error_rate(table):
    space = {"prefix_len": [0, 1, 2], "num_heads": [1, 2], "aam_margin": [0.0, 1.0]}
    figure = parallel_coordinates(table, space, best=3)
    assert len(figure.axes[0].lines) == 19
    text = file_svg(figure)
    assert all(name in text for name in ("prefix_len", "aam_margin", "EER on dev (%)"))
    assert "num_heads" in file_svg(importance_bars({"num_heads": 0.2, "aam_margin": 0.8}))


def test_best_params_go_into_the_file_whose_comments_stay(tmp_path, capsys):
    params, best = tmp_path / "params.yaml", tmp_path / "best.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    before = params.read_text().splitlines()
    write_best(best, {"prefix_len": 16, "loss_weights.mapc": 0.75, "num_heads": 2})
    assert read_best(best) == {"prefix_len": 16, "loss_weights.mapc": 0.75, "num_heads": 2}
    assert main(["tune", "apply", "--best", str(best), "--params", str(params)]) == 0
    assert capsys.readouterr().out == "prefix_len: 8 → 16\nloss_weights.mapc: 0.5 → 0.75\n"
    found = load_params(params)
    assert (found.prefix_len, found.loss_weights.mapc) == (16, 0.75)
    comments = [line.partition("#")[2] for line in before]
    assert [line.partition("#")[2] for line in params.read_text().splitlines()] == comments
    assert main(["tune", "show", "--best", str(best)]) == 0
    line = "dvc exp run -S prefix_len=16 -S loss_weights.mapc=0.75 -S num_heads=2"
    assert capsys.readouterr().out.strip() == line == command_line(read_best(best))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "best.yaml: no such file; run the sweep (make tune)"),
        ("- 1", "best.yaml: should hold names of params and values, but is [1]"),
        ("prefix_len: -1", "prefix_len should be from 0 to 512"),
        ("num_heads: 3", "num_heads is 3 but must divide model.attention_dim, 4"),
    ],
)
def test_what_cannot_be_taken_over_leaves_the_file_alone(tmp_path, capsys, text, message):
    params, best = tmp_path / "params.yaml", tmp_path / "best.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    if text is not None:
        best.write_text(text)
    assert main(["tune", "apply", "--best", str(best), "--params", str(params)]) == 1
    assert message in capsys.readouterr().err
    assert params.read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_a_value_of_a_wrong_kind_is_an_error(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    with pytest.raises(LaspaError, match=r"has .x. but aam_margin should be from 0 to 1\.5"):
        apply_best(tmp_path / "params.yaml", {"aam_margin": "x"})
