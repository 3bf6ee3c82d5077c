"""What Optuna draws: guided by earlier trials, never what is not allowed, the same after a restart."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from laspa.params import Params, load_params, with_overrides
from laspa.training.run import TrainingData
from laspa.tuning.sampler import draw_next
from laspa.tuning.space import draw_trials
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, RUNNING, Trial, TrialFiles
from pipelines import tune

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")
SPACE = {
    "aam_margin": {"uniform": [0.0, 1.0]},
    "num_heads": {"choice": [1, 2, 3, 4]},  # 3 does not divide the dimension, 4
    "prefix_len": {"integer": [0, 16]},
}


def with_space(space: dict[str, Any], **tune: Any) -> Params:
    settings = PARAMS.tune.model_dump() | {"space": space, "sampler": "optuna"} | tune
    return with_overrides(PARAMS, {"tune": settings})


def history(*rates: float) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "dev": {"eer_cross_same": rate}} for epoch, rate in enumerate(rates, start=1)]


def swept(params: Params, count: int) -> list[Trial]:
    """Trials drawn one after the other; the EER is the distance of the margin from 0.8, one in five fails."""
    trials: list[Trial] = []
    for number in range(1, count + 1):
        values = draw_next(params, trials)
        assert values is not None
        rate = abs(values["aam_margin"] - 0.8)
        trial = Trial(number, f"key{number}", values, FINISHED, history(0.9, rate))
        if number % 5 == 0:
            trial = Trial(number, f"key{number}", values, FAILED, error="no memory")
        elif number % 4 == 0:
            trial = Trial(number, f"key{number}", values, PRUNED, history(0.9))
        trials.append(trial)
    return trials


def test_the_first_trial_has_the_current_params_and_is_the_only_one_drawn_before() -> None:
    params = with_space(SPACE)
    current = {name: getattr(PARAMS, name) for name in SPACE}
    assert draw_trials(params) == [current]
    assert draw_next(params, []) == current


def test_later_draws_are_nearer_to_the_best_than_chance_and_all_are_allowed_and_new() -> None:
    by_seed = [swept(with_space(SPACE, seed=seed), 30) for seed in range(3)]
    for trials in by_seed:
        assert {trial.values["num_heads"] for trial in trials} == {1, 2, 4}
        assert len({repr(trial.values) for trial in trials}) == len(trials)
        assert all(0 <= trial.values["aam_margin"] <= 1 for trial in trials)
        assert all(isinstance(trial.values["prefix_len"], int) for trial in trials)
    far = [abs(trial.values["aam_margin"] - 0.8) for trials in by_seed for trial in trials[15:]]
    assert np.mean(far) < 0.24  # evenly drawn it is 0.34, with a standard error of 0.034 over these 45


def test_a_draw_follows_from_the_trials_and_the_seed_alone() -> None:
    params = with_space(SPACE)
    trials = swept(params, 14)
    assert draw_next(params, trials) == draw_next(params, trials)
    assert draw_next(with_space(SPACE, seed=2), trials) != draw_next(params, trials)
    running = Trial(15, "key15", draw_next(params, trials) or {}, RUNNING)
    assert draw_next(params, [*trials, running]) != running.values


def test_a_space_that_holds_no_more_ends_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laspa.tuning.sampler.FRUITLESS_DRAWS", 40)
    monkeypatch.setattr("laspa.tuning.sampler.GUIDED_DRAWS", 20)
    params = with_space({"num_heads": {"choice": [1, 3, 4]}})
    trials = [
        Trial(number, f"key{number}", {"num_heads": heads}, FINISHED, history(0.1 * number))
        for number, heads in enumerate((2, 1), start=1)  # 2 is in the params, outside of the space
    ]
    last = draw_next(params, trials)
    assert last == {"num_heads": 4}
    assert draw_next(params, [*trials, Trial(3, "key3", last, RUNNING)]) is None


def test_a_resumed_sweep_finds_what_was_drawn_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files have sorted keys, the space has an order of its own."""
    params = with_space({name: SPACE[name] for name in reversed(SPACE)})
    monkeypatch.setattr(tune, "state_digest", lambda params, data: f"{params.aam_margin}")
    files, data = TrialFiles(tmp_path), cast(TrainingData, None)
    trials = [Trial(1, str(PARAMS.aam_margin), draw_trials(params)[0])]
    for number in (2, 3):
        values = draw_next(params, trials) or {}
        trials.append(Trial(number, str(values["aam_margin"]), values, FINISHED, history(0.1 * number)))
    for trial in [*trials, Trial(2, "0.5", {"aam_margin": 0.5}), Trial(2, "other", trials[1].values)]:
        files.save(trial)
    found = tune._drawn_before(params, data, files, trials[0])
    assert found == trials[1:]
    assert [list(trial.values) for trial in found] == [list(params.tune.space)] * 2
