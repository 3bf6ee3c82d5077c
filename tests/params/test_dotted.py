"""Dotted names of nested values."""

import pytest

from laspa.params.dotted import flatten, get, put


def test_values_are_found_and_replaced_by_the_names_that_flatten_gives_them() -> None:
    values = {"a": 1, "b": {"c": [2], "d": {"e": None, "f": {}}}}
    assert flatten(values) == {"a": 1, "b.c": [2], "b.d.e": None, "b.d.f": {}}
    assert flatten(values["b"]["d"], "b.d") == {"b.d.e": None, "b.d.f": {}}
    assert all(get(values, name) == value for name, value in flatten(values).items())
    put(values, "b.d.e", 3)
    put(values, "a", 4)
    assert values == {"a": 4, "b": {"c": [2], "d": {"e": 3, "f": {}}}}


@pytest.mark.parametrize("name", ["c", "b.d", "b.d.e"])
def test_a_name_that_is_not_there_is_not_added(name: str) -> None:
    values = {"a": 1, "b": {"c": 2}}
    with pytest.raises(KeyError):
        put(values, name, 3)
    with pytest.raises(KeyError):
        get(values, name)
    assert values == {"a": 1, "b": {"c": 2}}
