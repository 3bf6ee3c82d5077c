"""What is wrong with a params file, in words that help."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel


def explain(source: str, item: Any, root: type[BaseModel]) -> str:
    """One error of pydantic in words: key, value, and what would be right."""
    # Without the names of alternatives.
    location = tuple(part for part in item["loc"] if not str(part).startswith("("))
    key = ".".join(str(part) for part in location)
    kind = item["type"]
    if kind == "extra_forbidden":
        return unknown_key(source, item["loc"], root)
    if kind == "missing":
        return f"{source}: {key} is missing; params.yaml of the repository shows it with its default"
    if kind == "value_error":
        reason = item["msg"].removeprefix("Value error, ")
        return f"{source}: {key + ': ' if key else ''}{reason}"
    if not key:
        return f"{source}: should hold keys and values, but is {item['input']!r}"
    reason = item["msg"].removeprefix("Input should be ")
    allowed = range_in_words(location, root)
    if kind in ("model_type", "dict_type"):
        reason = "a section of keys and values"
    elif kind == "too_short":
        reason = f"a list of at least {item['ctx']['min_length']}"
    elif allowed and kind.startswith(("greater_than", "less_than")):
        reason = allowed
    elif allowed:
        reason = f"{reason}, {allowed}"
    return f"{source}: {key} is {item['input']!r} but should be {reason}"


def range_in_words(location: tuple[str | int, ...], root: type[BaseModel]) -> str:
    """The range of a number in words; empty if it has none."""
    annotation: Any = root
    limits: list[Any] = []
    for part in location:
        if isinstance(part, int):  # an item of a list: list[Annotated[number, Field(...)]]
            annotation, *fields = get_args(get_args(annotation)[0]) or [get_args(annotation)[0]]
            limits = [limit for field in fields for limit in getattr(field, "metadata", [])]
        elif part in getattr(annotation, "model_fields", {}):
            field = annotation.model_fields[part]
            annotation, limits = field.annotation, field.metadata
        else:
            return ""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bound = {name: getattr(limit, name) for name in words for limit in limits if hasattr(limit, name)}
    if "ge" in bound and "le" in bound:
        return f"from {bound['ge']} to {bound['le']}"
    return " and ".join(f"{words[name]} {value}" for name, value in bound.items())


def unknown_key(source: str, location: tuple[str | int, ...], root: type[BaseModel]) -> str:
    """That a key is unknown, and the nearest known one."""
    section: Any = root
    parents: list[str] = []
    for key in map(str, location):
        fields = getattr(section, "model_fields", {})
        if key not in fields:
            break
        section = fields[key].annotation
        parents.append(key)
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
    hint = f"; the nearest known key is {'.'.join([*parents, *near])}" if near else ""
    return f"{source}: unknown key {'.'.join([*parents, key])}{hint}"


def unknown_choice(key: str, value: Any, known: Iterable[str], source: str = "params.yaml") -> str:
    """That a param names something unknown, and what is known."""
    return f"{source}: {key} is {value!r} but should be one of {', '.join(known)}"
