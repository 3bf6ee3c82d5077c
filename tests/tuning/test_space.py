"""The search space: what is drawn from it, and what is refused before a trial starts."""

from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.params import Params, load_params, with_overrides
from laspa.tuning.space import draw_trials, search_space, trial_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")


def with_space(space: dict[str, Any], **tune: Any) -> Params:
    settings = PARAMS.tune.model_dump() | {"space": space} | tune
    return with_overrides(PARAMS, {"tune": settings})


def refusal(space: dict[str, Any], **tune: Any) -> str:
    with pytest.raises(LaspaError) as error:
        draw_trials(with_space(space, **tune))
    return str(error.value)


def test_the_committed_space_has_the_five_names_that_the_paper_leaves_open() -> None:
    names = {dimension.name for dimension in search_space(PARAMS)}
    assert {"prefix_len", "num_heads", "aam_margin", "aam_scale"} < names
    assert any(name.startswith("loss_weights.") for name in names)
    assert len(draw_trials(PARAMS)) == PARAMS.tune.trials >= 24


def test_a_random_sweep_begins_with_the_current_params() -> None:
    first = draw_trials(PARAMS)[0]
    assert first["prefix_len"] == PARAMS.prefix_len
    assert first["loss_weights.nll"] == PARAMS.loss_weights.nll


def test_the_same_seed_draws_the_same_and_more_trials_come_behind() -> None:
    few, many = (draw_trials(with_overrides(PARAMS, {"tune.trials": count})) for count in (5, 9))
    assert many[:5] == few
    assert draw_trials(with_overrides(PARAMS, {"tune.seed": 2}))[1:] != draw_trials(PARAMS)[1:]


def test_drawn_values_lie_within_their_ranges() -> None:
    space = {
        "aam_margin": {"uniform": [0.1001, 0.1002]},
        "aam_scale": {"loguniform": [1, 100]},
        "prefix_len": {"integer": [3, 5]},
    }
    trials = draw_trials(with_space(space, trials=200))[1:]
    assert {trial["prefix_len"] for trial in trials} == {3, 4, 5}
    assert all(0.1001 <= trial["aam_margin"] <= 0.1002 for trial in trials)
    low = sum(trial["aam_scale"] < 10 for trial in trials)
    assert 70 <= low <= 130  # half of each decade: 100 ± 4 standard deviations


def test_heads_that_do_not_divide_the_dimension_are_never_drawn() -> None:
    space = {"num_heads": {"choice": [1, 2, 3, 4, 5, 8]}, "model.attention_dim": {"choice": [4, 6]}}
    trials = draw_trials(with_space(space, trials=50))
    pairs = {(trial["num_heads"], trial["model.attention_dim"]) for trial in trials}
    assert pairs == {(1, 4), (2, 4), (4, 4), (1, 6), (2, 6), (3, 6)}  # each once: there are no more


def test_a_grid_is_every_valid_combination() -> None:
    space = {"num_heads": {"choice": [1, 3, 4]}, "prefix_len": {"choice": [0, 8]}}
    trials = draw_trials(with_space(space, sampler="grid"))
    assert trials == [{"num_heads": heads, "prefix_len": length} for heads in (1, 4) for length in (0, 8)]


def test_a_trial_has_the_budget_of_the_sweep() -> None:
    changed = trial_params(PARAMS, {"loss_weights.nll": 0.7})
    assert changed.train.epochs == PARAMS.tune.epochs
    assert changed.loss_weights.nll == 0.7


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({}, "params.yaml: tune.space is empty; name what to vary"),
        ({"prefix_length": {"choice": [1]}}, "tune.space.prefix_length: no param that training reads has "
         "this name; the nearest is prefix_len"),
        ({"features.num_mels": {"choice": [40]}}, "features.num_mels: no param that training reads"),
        ({"train.epochs": {"choice": [4]}}, "tune.space.train.epochs: no param that training reads"),
        ({"aam_margin": {"uniform": [0.4, 0.1]}}, "uniform is [0.4, 0.1] but the first should be below"),
        ({"aam_margin": {"uniform": [0.2, 0.2]}}, "uniform is [0.2, 0.2] but the first should be below"),
        ({"aam_margin": {"uniform": [0.1]}}, "uniform is [0.1] but should be two numbers"),
        ({"aam_margin": {"uniform": "0.1"}}, "uniform is '0.1' but should be a list"),
        ({"aam_margin": {"uniform": [0.1, float("nan")]}}, "the first should be below"),
        ({"aam_margin": {"uniform": [0.1, 9.0]}}, "aam_margin is 9.0 but should be from 0 to 1.5"),
        ({"aam_margin": {"normal": [0, 1]}}, "but should hold one of choice, uniform, loguniform, integer"),
        ({"aam_margin": {}}, "aam_margin is {} but should hold one of choice"),
        ({"aam_margin": {"integer": [0, 1]}}, "the param is 0.3, which calls for uniform or loguniform"),
        ({"prefix_len": {"uniform": [0, 8]}}, "the param is 8, which calls for integer"),
        ({"prefix_len": {"integer": [0, 8.5]}}, "but should be two whole numbers"),
        ({"model.fusion": {"uniform": [0, 1]}}, "the param is 'prefix', which calls for choice"),
        ({"model.fusion": {"choice": ["prefix", "sum"]}}, "model.fusion is 'sum' but should be"),
        ({"loss_weights.mse": {"loguniform": [0, 1]}}, "should begin above 0; uniform may begin at 0"),
        ({"prefix_len": {"choice": []}}, "should list values, each once"),
        ({"prefix_len": {"choice": [4, 4]}}, "should list values, each once"),
        ({"num_heads": {"choice": [3, 5]}}, "holds no valid combination but the current one"),
    ],
)  # fmt: skip
def test_a_space_that_is_not_right_is_refused(space: dict[str, Any], expected: str) -> None:
    message = refusal(space)
    assert message.startswith("params.yaml: tune.space")
    assert expected in message


def test_a_grid_that_cannot_be_run_is_refused() -> None:
    lists = {"prefix_len": {"choice": [0, 1, 2]}, "num_heads": {"choice": [1, 2]}}
    assert "the grid has 6 combinations" in refusal(lists, sampler="grid", trials=5)
    assert "a grid is of choices" in refusal({"aam_margin": {"uniform": [0.1, 0.2]}}, sampler="grid")
    assert "none of the 1 combinations" in refusal({"num_heads": {"choice": [3]}}, sampler="grid")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tune.grace_epochs": 7}, "tune: grace_epochs is 7 but should be at most epochs, 6"),
        ({"tune.gpus": 1.5}, "tune: gpus is 1.5 but should be a share of one GPU or a whole number"),
        ({"tune.sampler": "tpe"}, "tune.sampler is 'tpe' but should be 'random', 'optuna' or 'grid'"),
        ({"tune.keep_one_in": 1}, "tune.keep_one_in is 1 but should be at least 2"),
        ({"tune.trails": 1}, "unknown key tune.trails; the nearest known key is tune.trials"),
    ],
)
def test_a_setting_that_is_not_right_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(LaspaError) as error:
        with_overrides(PARAMS, changes, "params.yaml")
    assert expected in str(error.value)
