"""The outcome of a sweep: its table, its best trial, what matters, and files that are the same each time."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from laspa.tuning.importance import CHANCE, importances, position
from laspa.tuning.output import best_trial, write_output
from laspa.tuning.space import Dimension, draw_trials, search_space
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, STOPPED, Trial

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")


def history(*rates: float) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "dev": {"eer_cross_same": rate, "eer_all": 0.5}}
        for epoch, rate in enumerate(rates, start=1)
    ]


def trials_of(params: Params, rate_of: Any) -> list[Trial]:
    """A trial for each draw; every third is pruned after one epoch."""
    found = []
    for number, values in enumerate(draw_trials(params), start=1):
        rate = rate_of(values)
        rates = (rate,) if number % 3 == 0 else (rate, rate - 0.01)
        status = PRUNED if number % 3 == 0 else FINISHED
        found.append(Trial(number, f"key{number}", values, status, history(*rates)))
    return found


@pytest.fixture
def trials() -> list[Trial]:
    """A sweep in which the margin alone matters; its best trial is number 5, 7 failed and 8 was stopped."""
    noise = np.random.default_rng(3)
    made = trials_of(PARAMS, lambda values: 0.1 + values["aam_margin"] + 0.001 * noise.random())
    made[4].history = history(0.12, 0.03, 0.09)
    made[6] = Trial(7, "key7", made[6].values, FAILED, history(), retries=2, error="its process died <b>")
    made[7].status = STOPPED
    return made


def test_the_folder_holds_table_best_params_plots_and_page(trials: list[Trial], tmp_path: Path) -> None:
    best = write_output(tmp_path / "tune", PARAMS, trials)
    assert best.number == 5
    names = {"trials.csv", "trials.json", "best.yaml", "parallel.svg", "importance.svg", "index.html"}
    assert {file.name for file in (tmp_path / "tune").iterdir()} == names
    with open(tmp_path / "tune/trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(trials)
    assert rows[4]["dev_eer"] == "0.03"
    assert float(rows[4]["aam_margin"]) == trials[4].values["aam_margin"]
    assert (rows[6]["status"], rows[6]["retries"], rows[6]["dev_eer"]) == ("failed", "2", "")
    kept = json.loads((tmp_path / "tune/trials.json").read_text(encoding="utf-8"))
    assert [epoch["eer_cross_same"] for epoch in kept[4]["dev"]] == [0.12, 0.03, 0.09]
    text = (tmp_path / "tune/best.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == trials[4].values
    assert text.startswith("# Trial 5 of 24: 3.00 % EER on dev.\n")
    page = (tmp_path / "tune/index.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == len(trials) + 1
    assert "its process died &lt;b&gt;" in page
    assert "src=" not in page


def test_the_same_trials_give_the_same_bytes(trials: list[Trial], tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_output(tmp_path / name, PARAMS, trials)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_what_alone_matters_is_first_and_noise_is_low(trials: list[Trial]) -> None:
    found = importances(search_space(PARAMS), trials, seed=1)
    assert found is not None
    assert (found.epoch, found.trials) == (1, 23)  # the failed one has no epoch, the pruned ones have one
    assert next(iter(found.values)) == "aam_margin"
    assert found.values["aam_margin"][0] > 5 * found.values[CHANCE][0]


def test_few_trials_have_no_importance_but_an_outcome(trials: list[Trial], tmp_path: Path) -> None:
    write_output(tmp_path / "tune", PARAMS, trials[:3])
    assert not (tmp_path / "tune/importance.svg").exists()
    assert "Importance needs 8 trials" in (tmp_path / "tune/index.html").read_text(encoding="utf-8")


def test_the_best_is_of_the_whole_budget_and_the_earliest_of_equals() -> None:
    trials = [
        Trial(1, "a", {}, PRUNED, history(0.05)),
        Trial(2, "b", {}, FINISHED, history(0.2, 0.1)),
        Trial(3, "c", {}, FINISHED, history(0.1, 0.2)),
    ]
    assert best_trial(trials).number == 2


def test_a_sweep_without_a_best_says_why() -> None:
    failed = [Trial(number, "a", {}, FAILED, error="no memory") for number in (1, 2)]
    with pytest.raises(LaspaError, match="all 2 trials failed; the first: no memory"):
        best_trial(failed)
    with pytest.raises(LaspaError, match=r"params.yaml: tune.max_hours ended before the first of 3 trials"):
        best_trial([*failed, Trial(3, "b", {}, STOPPED, history(0.1))])


def test_a_failed_sweep_leaves_the_last_outcome(trials: list[Trial], tmp_path: Path) -> None:
    write_output(tmp_path / "tune", PARAMS, trials)
    before = (tmp_path / "tune/trials.csv").read_bytes()
    with pytest.raises(LaspaError):
        write_output(tmp_path / "tune", PARAMS, [Trial(1, "a", trials[0].values, FAILED, error="no")])
    assert (tmp_path / "tune/trials.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "values", "value", "expected"),
    [
        ("uniform", (1.0, 3.0), 2.5, 0.75),
        ("loguniform", (0.1, 10.0), 1.0, 0.5),
        ("integer", (2, 6), 3, 0.25),
        ("choice", (0, 4, 32), 4, 0.5),
        ("choice", (32, 0, 4), 18, 0.75),
        ("choice", ("prefix", "concat"), "concat", 1.0),
        ("choice", ("prefix", "concat", "sum"), "other", 1.5),
    ],
)
def test_places_on_an_axis(kind: str, values: tuple[Any, ...], value: Any, expected: float) -> None:
    assert position(Dimension("name", kind, values), value) == pytest.approx(expected)


def test_a_sweep_over_words_and_one_value_of_eer_is_drawn(tmp_path: Path) -> None:
    space = {"model.fusion": {"choice": ["prefix", "concat"]}, "train.warp": {"uniform": [0.0, 0.1]}}
    params = with_overrides(PARAMS, {"tune": PARAMS.tune.model_dump() | {"space": space}})
    write_output(tmp_path / "tune", params, trials_of(params, lambda values: 0.2))
    assert "concat" in (tmp_path / "tune/parallel.svg").read_text(encoding="utf-8")
