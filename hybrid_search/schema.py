"""Which product fields are searched as words, filtered, counted and sorted: one table, for every engine and for request validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import QueryError

TEXT_FIELDS: tuple[str, ...] = ("title", "brand", "category", "color", "size", "material", "attributes", "description", "all")
"""Fields that BM25 can weigh. ``all`` is every other one joined, so that words spread over fields still meet in one."""

KEYWORD_FIELDS: tuple[str, ...] = (
    "id",
    "brand",
    "color",
    "size",
    "material",
    "availability",
    "currency",
    "language",
    "group_id",
    "gtin",
    "mpn",
    "sku",
)
"""Exact-match fields, one value per product; attributes join them as ``attributes.<name>`` with one or several values."""

NUMERIC_FIELDS: tuple[str, ...] = ("price", "rating", "rating_count", "popularity", "created", "updated")
"""Range, sort and histogram fields; times are seconds since 1970-01-01 UTC."""

CATEGORY_FIELD = "category"
ATTRIBUTE_PREFIX = "attributes."


def text_values(body: Mapping[str, Any]) -> dict[str, str]:
    """The words of a product by text field (``body`` as ``Product.body()`` gives it); empty fields are left out. Identifiers are never among them."""
    values = {
        "title": body.get("title", ""),
        "brand": body.get("brand", ""),
        "category": " ".join(body.get("category", ())),
        "color": body.get("color", ""),
        "size": body.get("size", ""),
        "material": body.get("material", ""),
        "attributes": " ".join(value for values in body.get("attributes", {}).values() for value in values),
        "description": body.get("description", ""),
    }
    values["all"] = " ".join(value for value in values.values() if value)
    return {name: value for name, value in values.items() if value}


def require_keyword(field: str) -> str:
    """``field`` if products can be filtered and counted by its exact values. Raises ``QueryError`` that lists the known ones."""
    if field in KEYWORD_FIELDS or field == CATEGORY_FIELD or (field.startswith(ATTRIBUTE_PREFIX) and len(field) > len(ATTRIBUTE_PREFIX)):
        return field
    raise _unknown(field, (*KEYWORD_FIELDS, CATEGORY_FIELD, ATTRIBUTE_PREFIX + "<name>"))


def require_numeric(field: str) -> str:
    """``field`` if it is a number to compare or sort by. Raises ``QueryError`` that lists the known ones."""
    if field in NUMERIC_FIELDS:
        return field
    raise _unknown(field, NUMERIC_FIELDS)


def require_text(field: str) -> str:
    """``field`` if BM25 can weigh it. Raises ``QueryError`` that lists the known ones."""
    if field in TEXT_FIELDS:
        return field
    raise _unknown(field, TEXT_FIELDS)


def _unknown(field: str, known: tuple[str, ...]) -> QueryError:
    return QueryError(f"Unknown field {field!r}.", field=field, value=field, remedy=f"Use one of: {', '.join(known)}.")
