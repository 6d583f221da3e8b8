"""The table ``[availability]`` of an attach file: their word for a state, or a bound of a stock number, as ``">0" = "in_stock"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hybrid_search.attach.paths import as_text
from hybrid_search.product import Availability

_BOUND = re.compile(r"(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)")
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
STOCK_NUMBER: Mapping[str, Availability] = {">0": "in_stock", "<=0": "out_of_stock"}
"""What is proposed for a field that holds how many there are."""


def has_bounds(table: Mapping[str, Availability]) -> bool:
    return any(True for _ in _bounds(table))


def state_of(table: Mapping[str, Availability], value: Any) -> Any:
    """The state that ``table`` gives ``value``: a word of its own first, else the first bound that holds; ``value`` itself where none does."""
    text = as_text(value)
    if text in table:
        return table[text]
    try:
        number = float(text)
    except ValueError:
        return value
    return next((state for holds, bound, state in _bounds(table) if holds(number, bound)), value)


def _bounds(table: Mapping[str, Availability]) -> Iterator[tuple[Callable[[float, float], bool], float, Availability]]:
    for key, state in table.items():
        if found := _BOUND.fullmatch(key):
            yield _HOLDS[found[1]], float(found[2]), state
