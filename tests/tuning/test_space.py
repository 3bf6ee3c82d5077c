"""What a sweep tries: names, ranges, combinations that cannot be, and clear errors before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.params import Params, Range, load_params, with_overrides
from laspa.tuning.space import draw_trials

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


def tuned(space: dict[str, Any], **options: Any) -> Params:
    return with_overrides(
        PARAMS, {"tune.space": space} | {f"tune.{key}": value for key, value in options.items()}
    )


def test_the_first_trial_changes_nothing_and_the_seed_decides_the_others():
    params = tuned({"prefix_len": [0, 4, 16], "aam_margin": {"low": 0.1, "high": 0.4}}, trials=6)
    trials = draw_trials(params)
    assert trials[0] == {"prefix_len": PARAMS.prefix_len, "aam_margin": PARAMS.aam_margin}
    assert len(trials) == 6
    assert draw_trials(params) == trials
    assert draw_trials(with_overrides(params, {"tune.seed": 2})) != trials
    assert all(0.1 <= changes["aam_margin"] <= 0.4 for changes in trials)


def test_heads_that_do_not_divide_the_dimension_are_never_drawn():
    params = tuned({"num_heads": [1, 2, 3, 4], "model.attention_dim": [4, 6]}, trials=50)
    trials = draw_trials(params)
    assert all(changes["model.attention_dim"] % changes["num_heads"] == 0 for changes in trials)
    # The six that are allowed, each once: 1, 2 and 4 divide 4, and 1, 2 and 3 divide 6.
    assert len(trials) == 6
    grid = draw_trials(with_overrides(params, {"tune.search": "grid"}))
    assert sorted(map(str, grid)) == sorted(map(str, trials))


def test_a_logarithmic_range_has_as_many_below_as_above_its_middle():
    params = tuned({"aam_scale": {"low": 1.0, "high": 100.0, "log": True}}, trials=200)
    values = [changes["aam_scale"] for changes in draw_trials(params)[1:]]
    below = sum(value < 10 for value in values) / len(values)
    assert 0.4 < below < 0.6


def test_whole_ends_give_whole_numbers():
    values = {
        changes["prefix_len"]
        for changes in draw_trials(tuned({"prefix_len": {"low": 1, "high": 3}}, trials=9))
    }
    assert values == {1, 2, 3, PARAMS.prefix_len}
    assert all(isinstance(value, int) for value in values)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        (
            {"prefx_len": [1]},
            {},
            "tune.space.prefx_len: unknown key prefx_len; the nearest known key is prefix_len",
        ),
        ({"loss_weights.nil": [1]}, {}, "the nearest known key is loss_weights.nll"),
        (
            {"aam_scale": [-5.0]},
            {},
            "tune.space.aam_scale has -5.0 but aam_scale should be above 0 and at most 1000",
        ),
        ({"prefix_len": ["8"]}, {}, "tune.space.prefix_len has '8' but prefix_len should be from 0 to 512"),
        ({"train.optimizer": ["adam"]}, {}, "train.optimizer should be 'adamw' or 'sgd'"),
        ({"aam_margin": {"low": 0.1, "high": 2.0}}, {}, "has 2.0 but aam_margin should be from 0 to 1.5"),
        (
            {"aam_margin": {"low": 0.1, "high": 0.3}},
            {"search": "grid"},
            "is a range but tune.search is grid; list",
        ),
        ({"num_heads": [3]}, {}, "num_heads is 3 but must divide model.attention_dim, 4; no combination"),
    ],
)
def test_a_wrong_space_is_said_before_any_trial(space, options, message):
    with pytest.raises(LaspaError) as caught:
        draw_trials(tuned(space, **options))
    assert message in str(caught.value)
    assert str(caught.value).startswith("params.yaml: tune.space")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "tune.space"),
        ({"prefix_len": []}, "tune.space.prefix_len"),
        ({"aam_margin": {"low": 0.3, "high": 0.1}}, "low is 0.3 but must lie below high, 0.1"),
        ({"aam_margin": {"low": 0.0, "high": 0.1, "log": True}}, "low is 0.0 but must be above 0"),
    ],
)
def test_a_space_that_holds_nothing_is_an_error(space, message):
    with pytest.raises(LaspaError) as caught:
        tuned(space)
    assert message in str(caught.value)


def test_a_range_is_read_from_the_params_file():
    assert PARAMS.tune.space["aam_margin"] == Range(low=0.1, high=0.5)
    assert len(draw_trials(PARAMS)) == PARAMS.tune.trials
