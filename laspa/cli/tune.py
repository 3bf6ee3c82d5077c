"""What `laspa tune` and its actions do; their options are described in laspa/cli/main.py."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.params import Params, load_params, with_overrides
from laspa.params.dotted import flatten, get
from laspa.tuning.space import Values

SCALAR = re.compile(r"""("[^"]*"|'[^']*'|[^\s,}\]#]+)([ \t]*)""")  # and the room behind it


def search(options: argparse.Namespace) -> None:
    """Run the sweep of the checkout that this is called in."""
    _in_checkout("tune")


def confirm(options: argparse.Namespace) -> None:
    """Measure what the best of the sweep gains, in the checkout that this is called in."""
    _in_checkout("confirm")


def _in_checkout(script: str) -> None:
    """Run a script of the pipeline, which the library does not import, and end as it ends."""
    file = Path("pipelines") / f"{script}.py"
    if not file.exists():
        raise LaspaError(
            f"{file}: no such file; a sweep reads a project's params and data: call this in a checkout's root"
        )
    ended = subprocess.run([sys.executable, "-m", f"pipelines.{script}"], check=False)
    if ended.returncode:
        sys.exit(ended.returncode)


def apply(options: argparse.Namespace) -> None:
    """Write the best params into params.yaml; nothing else in it changes, comments included."""
    best, file = _best(options), Path(options.params)
    text = file.read_text(encoding="utf-8")
    old = load_params(file)
    placed = {_place(old, name): value for name, value in best.items()}
    with atomic_path(file) as temporary:
        try:
            temporary.write_text(with_values(text, placed), encoding="utf-8")
            edited = load_params(temporary) == with_overrides(old, placed)
        except KeyError:  # a value that comes from a YAML merge has no place of its own
            edited = False
        if not edited:
            raise LaspaError(f"{file}: cannot be edited in place; write the values of {options.best} by hand")
    before = old.resolve().model_dump()
    for dotted, value in best.items():
        was = get(before, dotted)
        print(f"{dotted}: {was} → {value}" if was != value else f"{dotted}: {was}, as before")


def with_values(text: str, values: Values) -> str:
    """The YAML document `text` with the scalars under dotted names replaced, comments where they were."""
    document = YAML().load(text)
    places = []
    for dotted, value in values.items():
        section, _, key = dotted.rpartition(".")
        places.append(((get(document, section) if section else document).lc.value(key), _scalar(value)))
    lines = text.splitlines(keepends=True)
    for (row, column), value in sorted(places, reverse=True):  # so that places left of one stay right
        head, tail = lines[row][:column], lines[row][column:]
        old, gap = SCALAR.match(tail).group(1, 2)  # type: ignore[union-attr]
        rest = tail[len(old) + len(gap) :]
        if rest.startswith("#"):
            gap = " " * max(len(old) + len(gap) - len(value), 1)
        lines[row] = f"{head}{value}{gap}{rest}"
    return "".join(lines)


def show(options: argparse.Namespace) -> None:
    """Print the command that runs the pipeline with the best params, as an experiment."""
    best, params = _best(options), load_params(options.params)
    settings = (f"{_place(params, name)}={_scalar(value)}" for name, value in best.items())
    print("dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings))


def _place(params: Params, name: str) -> str:
    """Where the chosen system has a param: among its own changes, or at the top level."""
    return f"systems.{params.system}.{name}" if name in flatten(params.systems[params.system]) else name


def _scalar(value: Any) -> str:
    return yaml.safe_dump(value).splitlines()[0]


def _best(options: argparse.Namespace) -> Values:
    """The best params of a sweep, checked against the params that they are for."""
    file = Path(options.best)
    try:
        best = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaspaError(f"{file}: no such file; run the sweep (laspa tune)") from None
    except yaml.YAMLError as error:
        raise LaspaError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(best, dict) or not all(isinstance(name, str) for name in best):
        raise LaspaError(f"{file} is {best!r} but should hold dotted names and values")
    with_overrides(load_params(options.params).resolve(), best, str(file))
    return best
