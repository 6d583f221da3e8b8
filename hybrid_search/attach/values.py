"""Whether the values of a foreign field look like those of a product field: how many of a sample could be converted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hybrid_search.attach.names import Kind
from hybrid_search.attach.schema import DATE_TYPES, EXACT_TYPES, NUMBER_TYPES, TEXT_TYPES
from hybrid_search.catalog.values import availability, gtin, price

_TIME = TypeAdapter(datetime)
_IMAGE = re.compile(r"(https?:)?//\S+|data:image/.*|\S+\.(jpe?g|png|webp|gif|avif|bmp|tiff?)(\?\S*)?", re.IGNORECASE | re.DOTALL)
STATES = ("in_stock", "out_of_stock", "preorder", "backorder")

FITTING_TYPES: dict[Kind, frozenset[str]] = {
    "text": TEXT_TYPES | EXACT_TYPES,
    "word": TEXT_TYPES | EXACT_TYPES,
    "category": TEXT_TYPES | EXACT_TYPES,
    "number": NUMBER_TYPES | {"keyword", "text"},
    "count": NUMBER_TYPES,
    "date": DATE_TYPES | NUMBER_TYPES | {"keyword", "text"},
    "image": TEXT_TYPES | EXACT_TYPES,
    "availability": TEXT_TYPES | EXACT_TYPES | NUMBER_TYPES,
    "stock": NUMBER_TYPES,
    "gtin": TEXT_TYPES | EXACT_TYPES | NUMBER_TYPES,
    "language": TEXT_TYPES | EXACT_TYPES,
    "currency": TEXT_TYPES | EXACT_TYPES,
    "id": TEXT_TYPES | EXACT_TYPES | NUMBER_TYPES,
}
UNMAPPED = "not in the mapping"
"""Type of a field that documents hold and the mapping does not name."""


def fits_type(kind: Kind, type_: str) -> bool:
    """Whether a mapping type can hold such values."""
    return type_ in FITTING_TYPES[kind] or type_ in (UNMAPPED, "object", "alias")


def share_fitting(kind: Kind, values: Sequence[Any]) -> float:
    """Share of ``values`` (none of them null) that can be such a value; 0 for none."""
    return sum(_LOOKS[kind](value) for value in values) / len(values) if values else 0.0


def _number(value: Any) -> bool:
    given, _ = price(value)
    try:
        return not isinstance(value, bool) and float(given) >= 0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _date(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and _TIME.validate_python(value).year >= 1990
    except ValidationError:
        return False


def _words(value: Any) -> bool:
    return isinstance(value, str) and any(sign.isalpha() for sign in value) and not value.startswith(("http://", "https://"))


_LOOKS: dict[Kind, Callable[[Any], bool]] = {
    "text": _words,
    "word": lambda value: (
        isinstance(value, str) and bool(value.strip()) and len(value) <= 256 and not value.startswith(("http://", "https://"))
    ),
    "category": lambda value: _words(value) and len(value) <= 500,
    "number": _number,
    "count": lambda value: _number(value) and float(value) == int(float(value)),
    "date": _date,
    "image": lambda value: isinstance(value, str) and (value == "no_selection" or bool(_IMAGE.fullmatch(value))),
    "availability": lambda value: availability(value) in STATES,
    "stock": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "gtin": lambda value: bool(re.fullmatch(r"\d{8}|\d{12,14}", str(gtin(value)))),
    "language": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*", value)),
    "currency": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[A-Z]{3}", value)),
    "id": lambda value: isinstance(value, (str, int)) and not isinstance(value, bool) and bool(str(value).strip()),
}
