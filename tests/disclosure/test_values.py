"""Values of disclosure stay what they are made, and their parts have names."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

from biometrics import disclosure
from biometrics.disclosure import Tally

MODULES = [
    importlib.import_module(f"{disclosure.__name__}.{module.name}")
    for module in pkgutil.iter_modules(disclosure.__path__)
]
VALUES = [
    value
    for module in MODULES
    for _, value in inspect.getmembers(module, inspect.isclass)
    if dataclasses.is_dataclass(value) and value.__module__ == module.__name__
]
# Of few parts, in an order that their names say; and the one that counts.
IN_ORDER = {"Band", "Permission", "Replay", "Tally"}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_can_neither_be_changed_nor_be_given_more(value: type) -> None:
    """What was checked when it was made stays so, and a misspelt name is an error."""
    made = object.__new__(value)
    assert not hasattr(made, "__dict__")
    name = dataclasses.fields(value)[0].name
    if value is not Tally:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, name, None)
    parameters = inspect.signature(value).parameters.values()
    are_named = all(each.kind is each.KEYWORD_ONLY for each in parameters)
    assert are_named is (value.__name__ not in IN_ORDER)
