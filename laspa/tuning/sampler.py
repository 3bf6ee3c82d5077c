"""What the next trial changes, by what the trials before it have shown: TPE, as Optuna has it.

Nothing is kept between draws: each is a function of the seed and of the trials so far, so that a sweep
which is gone on with draws as one that was never killed.
"""

from typing import Any

import numpy as np

from laspa.params import Params
from laspa.tuning.journal import FINISHED, PRUNED, Trial, dev_eer
from laspa.tuning.space import (
    FRUITLESS_DRAWS,
    Dimension,
    Values,
    current_values,
    is_allowed,
    rounded,
    search_space,
)

GUIDED_DRAWS = 50  # after which a space with few valid combinations left is drawn from evenly; our choice


def draw_next(params: Params, trials: list[Trial]) -> Values | None:
    """A combination that is allowed and new, or None where `tune.space` holds no more.

    The first is the params as they stand, the next ones are drawn evenly until Optuna's sampler has
    seen enough: a tree-structured Parzen estimator (Bergstra et al. 2011) over all dimensions together, to
    which trials that are under way count as bad ones, so that those at once are not alike.

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
    import optuna  # here: no other sampler needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    distributions = {dimension.name: _distribution(dimension) for dimension in dimensions}
    for trial in trials:
        if all(_holds(dimension, trial.values[dimension.name]) for dimension in dimensions):
            study.add_trial(_observed(trial, distributions))
    asked = study.ask(distributions).params
    return {dimension.name: rounded(dimension, asked[dimension.name]) for dimension in dimensions}


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.values)
    if dimension.kind == "integer":
        return IntDistribution(*dimension.values)
    low, high = map(float, dimension.values)
    return FloatDistribution(low, high, log=dimension.kind == "loguniform")


def _holds(dimension: Dimension, value: Any) -> bool:
    """The params as they stand may lie outside of the space, and tell nothing about it then."""
    if dimension.kind == "choice":
        return value in dimension.values
    low, high = dimension.values
    return bool(low <= value <= high)


def _observed(trial: Trial, distributions: dict[str, Any]) -> Any:
    """The trial as Optuna keeps one."""
    from optuna.trial import TrialState, create_trial

    rates = {record["epoch"]: dev_eer(record) for record in trial.history}
    state = TrialState.FAIL if trial.ended else TrialState.RUNNING
    if trial.history and trial.status in (FINISHED, PRUNED):
        state = TrialState.COMPLETE if trial.status == FINISHED else TrialState.PRUNED
    return create_trial(
        state=state,
        value=trial.best if state == TrialState.COMPLETE else None,
        params=trial.values,
        distributions=distributions,
        intermediate_values=rates,
    )
