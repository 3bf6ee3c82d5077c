"""What the next trial changes, guided by the trials so far: TPE, by Optuna.

Nothing is kept between draws: each is a function of the seed and of the trials so far. So a resumed sweep
draws the same trials as one that was never killed.
"""

from typing import Any

import numpy as np
import optuna
from optuna import distributions as kinds
from optuna.trial import FrozenTrial, TrialState, create_trial

from laspa.params import Params
from laspa.tuning.space import FRUITLESS_DRAWS, Dimension, Values, current_values, is_allowed, search_space
from laspa.tuning.trial_files import FINISHED, PRUNED, Trial, dev_eer

GUIDED_DRAWS = 50  # after which a space with few valid combinations left is drawn from evenly; our choice


def draw_next(params: Params, trials: list[Trial]) -> Values | None:
    """A combination that is allowed and new, or None where `tune.space` holds no more.

    The first is the current params; the next ones are drawn evenly until Optuna's sampler has seen
    enough: a tree-structured Parzen estimator (Bergstra et al. 2011) over all dimensions together. It takes
    trials that are running for bad ones, so that trials drawn at the same time differ.

    Args:
        trials: all of the sweep so far, whatever their state.
    """
    dimensions = search_space(params)
    if not trials:
        return current_values(params, dimensions)
    seen = {repr(trial.values) for trial in trials}
    seeds = np.random.SeedSequence([params.tune.seed, len(trials)]).generate_state(FRUITLESS_DRAWS)
    for attempt, seed in enumerate(seeds):
        if attempt < GUIDED_DRAWS:
            values = _guided(dimensions, trials, int(seed))
        else:
            generator = np.random.default_rng(seed)
            values = {dimension.name: dimension.draw(generator) for dimension in dimensions}
        if repr(values) not in seen and is_allowed(params, values):
            return values
    return None


def _guided(dimensions: list[Dimension], trials: list[Trial], seed: int) -> Values:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    distributions = {dimension.name: _distribution(dimension) for dimension in dimensions}
    for trial in trials:
        if all(_holds(dimension, trial.values[dimension.name]) for dimension in dimensions):
            study.add_trial(_as_optuna_keeps_it(trial, distributions))
    asked = study.ask(distributions).params
    return {dimension.name: dimension.rounded(asked[dimension.name]) for dimension in dimensions}


def _distribution(dimension: Dimension) -> kinds.BaseDistribution:
    if dimension.kind == "choice":
        return kinds.CategoricalDistribution(dimension.values)
    if dimension.kind == "integer":
        return kinds.IntDistribution(*dimension.values)
    low, high = map(float, dimension.values)
    return kinds.FloatDistribution(low, high, log=dimension.kind == "loguniform")


def _holds(dimension: Dimension, value: Any) -> bool:
    """The current params may lie outside of the space, and tell nothing about it then."""
    if dimension.kind == "choice":
        return value in dimension.values
    low, high = dimension.values
    return bool(low <= value <= high)


def _as_optuna_keeps_it(trial: Trial, distributions: dict[str, kinds.BaseDistribution]) -> FrozenTrial:
    state = TrialState.FAIL if trial.ended else TrialState.RUNNING
    if trial.history:
        state = {FINISHED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED}.get(trial.status, state)
    return create_trial(
        state=state,
        value=trial.best if state == TrialState.COMPLETE else None,
        params=trial.values,
        distributions=distributions,
        intermediate_values={record["epoch"]: dev_eer(record) for record in trial.history},
    )
