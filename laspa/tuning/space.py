"""The search space of params.yaml, and the trials that are drawn before the first one starts."""

import difflib
import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from laspa.errors import LaspaError
from laspa.models.encoders import check_encoders
from laspa.params import CombinationError, Params, System, Tune, with_overrides
from laspa.params.dotted import flatten

KINDS = ("choice", "uniform", "loguniform", "integer")
SIGNIFICANT_DIGITS = 4  # of a drawn number: more say nothing, and params.yaml stays readable
FRUITLESS_DRAWS = 1000  # in a row, after which the space is taken to hold no further valid trial

Values = dict[str, Any]


@dataclass(frozen=True)
class Dimension:
    """One param that varies: `choice` among values, or a range with both ends."""

    name: str
    kind: str
    values: tuple[Any, ...]

    def draw(self, generator: np.random.Generator) -> Any:
        """A value, evenly on the dimension's own scale."""
        if self.kind == "choice":
            return self.values[generator.integers(len(self.values))]
        low, high = self.values
        if self.kind == "integer":
            return int(generator.integers(low, high, endpoint=True))
        if self.kind == "uniform":
            return self.rounded(generator.uniform(low, high))
        return self.rounded(math.exp(generator.uniform(math.log(low), math.log(high))))

    def rounded(self, value: Any) -> Any:
        """A drawn number with few digits, within its range; a choice or a whole number is not changed."""
        if self.kind not in ("uniform", "loguniform"):
            return value
        low, high = map(float, self.values)
        return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), low), high)


def search_space(params: Params) -> list[Dimension]:
    """The dimensions of `tune.space`.

    Raises:
        LaspaError: no dimension, an unknown name or one that training does not read, a kind that is
            unknown or does not fit the param, a range whose ends are the wrong way round, or a value
            that the param does not take; the message says what would be right.
    """
    if not params.tune.space:
        raise LaspaError(
            "params.yaml: tune.space is empty; name what to vary, such as aam_margin: {uniform: [0.05, 0.4]}"
        )
    known = _tunable(params)
    return [_dimension(params, known, name, drawn) for name, drawn in params.tune.space.items()]


def draw_trials(params: Params) -> list[Values]:
    """What each trial changes: combinations that are allowed, none twice, the same for the same seed.

    A random sweep begins with the current params, so that its best is compared with them; a higher
    `tune.trials` adds trials behind those drawn before. With Optuna this is the first trial alone:
    laspa/tuning/sampler.py draws the others when their turn comes.

    Raises:
        LaspaError: a space that is not right, holds no valid combination, or whose grid is larger
            than `tune.trials`.
    """
    dimensions = search_space(params)
    if params.tune.sampler == "grid":
        return _grid(params, dimensions)
    trials = [current_values(params, dimensions)]
    if params.tune.sampler == "random":
        trials += itertools.islice(_random(params, dimensions, trials[0]), params.tune.trials - 1)
        if len(trials) == 1 < params.tune.trials:
            raise LaspaError(
                "params.yaml: tune.space holds no valid combination but the current one; give other values"
            )
    return trials


def trial_count(options: Tune, drawn: int) -> int:
    """How many trials the sweep has in all when `drawn` are known: Optuna draws others later."""
    return options.trials if options.sampler == "optuna" else drawn


def trial_params(params: Params, values: Values) -> Params:
    """The params of one trial: `values`, and the sweep's number of epochs."""
    budget = {"train.epochs": params.tune.epochs, "train.dev_every": 1, "train.patience": 0}
    budget |= {"train.fine_tune.epochs": 0}
    return with_overrides(params, values | budget, "params.yaml: tune.space")


def current_values(params: Params, dimensions: list[Dimension]) -> Values:
    """The values that `params` have now under the names that vary."""
    known = _tunable(params)
    return {dimension.name: known[dimension.name] for dimension in dimensions}


def is_allowed(params: Params, values: Values) -> bool:
    """Whether the values go together."""
    try:
        trial_params(params, values)
    except CombinationError:
        return False
    return True


def _tunable(params: Params) -> Values:
    """Dotted names and values of what a training run reads, without its length."""
    known = flatten(params.model_dump(include={*System.model_fields, "seed", "train"}))
    del known["train.epochs"]
    return known


def _dimension(params: Params, known: Values, name: str, drawn: dict[str, Any]) -> Dimension:
    where = f"params.yaml: tune.space.{name}"
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise LaspaError(f"{where}: no param that training reads has this name; the nearest is {near}")
    if len(drawn) != 1 or not set(drawn) <= set(KINDS):
        raise LaspaError(f"{where} is {drawn!r} but should hold one of {', '.join(KINDS)}")
    ((kind, values),) = drawn.items()
    where = f"{where}.{kind}"
    if not isinstance(values, list):
        raise LaspaError(f"{where} is {values!r} but should be a list")
    if kind != "choice":
        _check_range(where, kind, values, known[name])
    elif not values or len(set(map(repr, values))) < len(values):
        raise LaspaError(f"{where} is {values!r} but should list values, each once")
    for value in values:
        with suppress(CombinationError):
            check_encoders(with_overrides(params, {name: value}, where).model)
    return Dimension(name, kind, tuple(values))


def _check_range(where: str, kind: str, values: list[Any], current: Any) -> None:
    if [type(value) in (int, float) for value in values] != [True, True]:
        raise LaspaError(f"{where} is {values!r} but should be two numbers, the lowest and the highest")
    low, high = values
    if not low < high:
        raise LaspaError(f"{where} is {values!r} but the first should be below the second")
    right = "uniform or loguniform"
    if isinstance(current, bool | str):
        right = "choice"
    elif isinstance(current, int):
        right = "integer"
    if kind not in right.split():
        raise LaspaError(f"{where}: the param is {current!r}, which calls for {right}")
    if kind == "integer" and float in map(type, values):
        raise LaspaError(f"{where} is {values!r} but should be two whole numbers")
    if kind == "loguniform" and low <= 0:
        raise LaspaError(f"{where} is {values!r} but should begin above 0; uniform may begin at 0")


def _random(params: Params, dimensions: list[Dimension], first: Values) -> Iterator[Values]:
    generator = np.random.default_rng(params.tune.seed)
    seen = {repr(first)}
    fruitless = 0
    while fruitless < FRUITLESS_DRAWS:
        values = {dimension.name: dimension.draw(generator) for dimension in dimensions}
        fruitless += 1
        if repr(values) not in seen and is_allowed(params, values):
            fruitless = 0
            seen.add(repr(values))
            yield values


def _grid(params: Params, dimensions: list[Dimension]) -> list[Values]:
    for dimension in dimensions:
        if dimension.kind != "choice":
            raise LaspaError(
                f"params.yaml: tune.space.{dimension.name}.{dimension.kind}: a grid is of choices; list the "
                "values, or set tune.sampler to random"
            )
    size = math.prod(len(dimension.values) for dimension in dimensions)
    if size > params.tune.trials:
        raise LaspaError(
            f"params.yaml: tune.trials is {params.tune.trials} but the grid has {size} combinations; "
            "raise it, shorten the lists, or set tune.sampler to random"
        )
    names = [dimension.name for dimension in dimensions]
    combinations = itertools.product(*(dimension.values for dimension in dimensions))
    trials = [dict(zip(names, values, strict=True)) for values in combinations]
    trials = [values for values in trials if is_allowed(params, values)]
    if not trials:
        raise LaspaError(f"params.yaml: none of the {size} combinations of tune.space is valid; give others")
    return trials
