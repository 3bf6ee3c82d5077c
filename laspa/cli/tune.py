"""What `laspa tune` and its actions do; their options are described in laspa/cli/main.py."""

import argparse
import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.hooks import hook
from laspa.params import Params, load_params, with_overrides
from laspa.params.dotted import flatten, get, put
from laspa.params.loading import read_yaml, yaml_scalar
from laspa.tuning.space import Values

ENTRY_POINTS = "laspa.sweep"  # of the project's pipeline, which the library does not import
EXTRA = "tune"
EDITED_DIGITS = 15


def tune(options: argparse.Namespace) -> None:
    """Run the sweep of the checkout that this is called in."""
    hook(ENTRY_POINTS, "search", EXTRA)()


def confirm(options: argparse.Namespace) -> None:
    """Measure what the best of the sweep gains, in the checkout that this is called in."""
    hook(ENTRY_POINTS, "confirm", EXTRA)()


def apply(options: argparse.Namespace) -> None:
    """Write the best params into params.yaml; nothing else in it changes, comments included."""
    file = Path(options.params)
    old = load_params(file)
    best = _best(options.best, old)
    placed = {_place(old, name): value for name, value in best.items()}
    with atomic_path(file) as temporary:
        try:
            temporary.write_text(with_values(file.read_text(encoding="utf-8"), placed), encoding="utf-8")
            edited = load_params(temporary) == with_overrides(old, placed)
        except KeyError:  # a value that comes from a YAML merge has no place of its own
            edited = False
        if not edited:
            raise LaspaError(f"{file}: cannot be edited in place; write the values of {options.best} by hand")
    before = old.resolve(old.tune.system).model_dump()
    for name, value in best.items():
        was = get(before, name)
        print(f"{name}: {was} → {value}" if was != value else f"{name}: {was}, as before")


def with_values(text: str, values: Values) -> str:
    """The YAML document `text` with the values under dotted names replaced, comments where they were."""
    editor = YAML()
    editor.preserve_quotes, editor.width = True, sys.maxsize
    document = editor.load(text)
    for name, value in values.items():
        written = yaml_scalar(value)
        # Behind an exponent the editor keeps that notation, but only some fifteen digits.
        exact = not isinstance(value, float) or len(written) < EDITED_DIGITS
        put(document, name, editor.load(written) if exact else value)
    changed = io.StringIO()
    editor.dump(document, changed)
    return changed.getvalue() if text.endswith("\n") else changed.getvalue().removesuffix("\n")


def show(options: argparse.Namespace) -> None:
    """Print the command that runs the pipeline with the best params, as an experiment."""
    params = load_params(options.params)
    best = _best(options.best, params)
    settings = (f"{_place(params, name)}={_hydra(value)}" for name, value in best.items())
    print("dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings))


def _place(params: Params, name: str) -> str:
    """Where the system of the sweep has a param: among its own changes, or at the top level."""
    system = params.tune.system
    return f"systems.{system}.{name}" if name in flatten(params.systems[system]) else name


def _hydra(value: Any) -> str:
    """The value as `dvc exp run -S` reads it: by Hydra, whose quotes are not those of YAML."""
    written = yaml_scalar(value)
    if not isinstance(value, str) or re.fullmatch(r"[\w./-]+", written):
        return written
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), value)
    return f"'{escaped}'"


def _best(path: str, params: Params) -> Values:
    """The best params of a sweep, checked against the params that they are for."""
    file = Path(path)
    if not file.exists():
        raise LaspaError(f"{file}: no such file; run the sweep (laspa tune)")
    best = read_yaml(file)
    if not isinstance(best, dict) or not all(isinstance(name, str) for name in best):
        raise LaspaError(f"{file} is {best!r} but should hold dotted names and values")
    with_overrides(params.resolve(params.tune.system), best, str(file))
    return best
