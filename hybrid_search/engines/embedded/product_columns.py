"""What of a product is filtered, counted and sorted, as plain values: one record per product, exchanged as JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from hybrid_search.schema import ATTRIBUTE_PREFIX, CATEGORY_FIELD, KEYWORD_FIELDS

LEVEL = "\x1f"
"""Between the levels of a category and between the values of an attribute; no product text holds control characters."""

SINGLE_FIELDS: tuple[str, ...] = tuple(field for field in KEYWORD_FIELDS if field != "id")
_TIMES = ("created", "updated")
_NUMBERS = ("price", "rating")
_DEFAULTS = {"rating_count": 0.0, "popularity": 0.0}


@dataclass(frozen=True, slots=True)
class ColumnRecord:
    """One product: ``keywords`` by field with several values joined by ``LEVEL``, ``numbers`` by field; neither when it is gone."""

    slot: int
    id: str
    live: bool
    keywords: Mapping[str, str]
    numbers: Mapping[str, float]


def column_record(slot: int, id_: str, body: Mapping[str, Any] | None) -> ColumnRecord:
    """The record of a stored body (``Product.body()``, fields at their default left out), of a deleted product for ``None``."""
    if body is None:
        return ColumnRecord(slot, id_, False, {}, {})
    keywords = {field: value for field in SINGLE_FIELDS if (value := body.get(field))}
    keywords.setdefault("availability", "in_stock")
    if path := body.get(CATEGORY_FIELD):
        keywords[CATEGORY_FIELD] = LEVEL.join(path)
    for name, values in body.get("attributes", {}).items():
        keywords[ATTRIBUTE_PREFIX + name] = LEVEL.join(values)
    numbers = _DEFAULTS | {field: float(body[field]) for field in (*_NUMBERS, *_DEFAULTS) if body.get(field) is not None}
    numbers |= {field: _seconds(body[field]) for field in _TIMES if body.get(field) is not None}
    return ColumnRecord(slot, id_, True, keywords, numbers)


def _seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_line(record: ColumnRecord) -> bytes:
    return orjson.dumps([record.slot, record.id, record.live, record.keywords, record.numbers], option=orjson.OPT_APPEND_NEWLINE)


def from_line(line: bytes) -> ColumnRecord:
    return ColumnRecord(*orjson.loads(line))
