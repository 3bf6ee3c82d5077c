"""Dotted names of nested values: `loss_weights.nll` stands for `values["loss_weights"]["nll"]`."""

from functools import reduce
from operator import getitem
from typing import Any


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict by dotted names, each behind `prefix`; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, dict) and value else {name: value}
    return flat


def get(values: Any, name: str) -> Any:
    """The value under a dotted name.

    Raises:
        KeyError: there is none.
    """
    return reduce(getitem, name.split("."), values)


def put(values: Any, name: str, value: Any) -> None:
    """Replace the value under a dotted name, in place.

    Raises:
        KeyError: there is none.
    """
    *parents, key = name.split(".")
    section = reduce(getitem, parents, values)
    section[key]  # a new name is a mistake
    section[key] = value
