"""The trials of a sweep, drawn before any starts from the space in params.yaml."""

import itertools
import math
from typing import Any

import numpy as np

from laspa.errors import LaspaError
from laspa.params import Params, Range, check_value, value_of, with_overrides

DRAWS_A_TRIAL = 1000  # before a space whose combinations are all invalid is given up

Changes = dict[str, Any]


def draw_trials(params: Params, source: str = "params.yaml") -> list[Changes]:
    """The changes to params that each trial makes, by dotted name; the first trial changes nothing.

    A random search draws each param by itself, a grid takes every combination of the lists.
    Combinations that params do not allow, such as heads that do not divide the dimension, are not
    among them; neither is one twice.

    Raises:
        LaspaError: an unknown name, a value out of range, a range where lists are needed, no valid
            combination.
    """
    options = params.tune
    for name, values in options.space.items():
        ends = [values.low, values.high] if isinstance(values, Range) else values
        for value in ends:
            check_value(name, value, f"{source}: tune.space.{name}")
    unchanged = {name: value_of(params, name) for name in options.space}
    drawn = _grid(params, source) if options.search == "grid" else _random(params, source)
    trials = [unchanged]
    for changes in drawn:
        if changes not in trials:
            trials.append(changes)
        if options.search == "random" and len(trials) == options.trials:
            break
    return trials


def _grid(params: Params, source: str) -> list[Changes]:
    space = params.tune.space
    for name, values in space.items():
        if isinstance(values, Range):
            raise LaspaError(
                f"{source}: tune.space.{name} is a range but tune.search is grid; list the values to try"
            )
    lists = [list(values) for values in space.values() if not isinstance(values, Range)]
    combined = (dict(zip(space, values, strict=True)) for values in itertools.product(*lists))
    valid = [changes for changes in combined if _allowed(params, changes)]
    if not valid:
        raise _nothing_valid(params, dict(zip(space, (values[0] for values in lists), strict=True)), source)
    return valid


def _random(params: Params, source: str) -> list[Changes]:
    options = params.tune
    generator = np.random.default_rng(options.seed)
    trials: list[Changes] = []
    changes: Changes = {}
    for _ in range(DRAWS_A_TRIAL * options.trials):
        changes = {name: _draw(values, generator) for name, values in options.space.items()}
        if changes not in trials and _allowed(params, changes):
            trials.append(changes)
        if len(trials) == options.trials:
            break
    if not trials:
        raise _nothing_valid(params, changes, source)
    return trials


def _draw(values: list[Any] | Range, generator: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[int(generator.integers(len(values)))]
    if isinstance(values.low, int) and isinstance(values.high, int):
        return int(generator.integers(values.low, values.high + 1))
    if values.log:
        exponent = generator.uniform(math.log10(values.low), math.log10(values.high))
        return float(f"{10**exponent:.3g}")  # digits that one can type
    return float(f"{generator.uniform(values.low, values.high):.3g}")


def _allowed(params: Params, changes: Changes) -> bool:
    try:
        with_overrides(params, changes)
    except LaspaError:
        return False
    return True


def _nothing_valid(params: Params, changes: Changes, source: str) -> LaspaError:
    try:
        with_overrides(params, changes, f"{source}: tune.space")
    except LaspaError as error:
        return LaspaError(f"{error}; no combination of tune.space is allowed")
    raise AssertionError("called for a space without a valid combination")
