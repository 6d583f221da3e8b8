"""Filters of a plan as clauses of a server's query. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_search.engines.cluster.layout import ATTRIBUTE_NAMES, CATEGORY_PATHS, FACT_SEPARATOR, FACTS, NUMERIC_PATHS
from hybrid_search.schema import ATTRIBUTE_PREFIX, CATEGORY_FIELD, NUMERIC_FIELDS, require_keyword, require_numeric
from hybrid_search.types import CategoryPrefix, Exists, Filter, Terms

Clause = dict[str, Any]

PATH_SEPARATOR = " > "
"""Between the levels of a category path in the index, in facet values and in ``Terms`` on ``category``."""
EVERYTHING: Clause = {"match_all": {}}


def filter_clauses(filters: Sequence[Filter], exclude_ids: Sequence[str] = ()) -> list[Clause]:
    """Clauses that a product must all pass, none of them scored. Raises ``QueryError`` for a field that cannot be filtered."""
    clauses = [_without(_clause(one)) if one.exclude else _clause(one) for one in filters]
    if exclude_ids:
        clauses.append(_without({"terms": {"id": list(exclude_ids)}}))
    return clauses


def keyword_path(field: str) -> str:
    """Where the exact values of a field are; those of all attributes are in one field. Raises ``QueryError`` for another kind of field."""
    require_keyword(field)
    if field == CATEGORY_FIELD:
        return CATEGORY_PATHS
    return FACTS if field.startswith(ATTRIBUTE_PREFIX) else field


def fact(field: str, value: str = "") -> str:
    """How a value of ``attributes.<name>`` stands in the field of facts; without a value the beginning of all of them."""
    return field.removeprefix(ATTRIBUTE_PREFIX) + FACT_SEPARATOR + value


def exists_clause(field: str) -> Clause:
    """Products that have the field. Raises ``QueryError`` for a field that cannot be filtered."""
    if field in NUMERIC_FIELDS:
        return {"exists": {"field": NUMERIC_PATHS[field]}}
    path = keyword_path(field)
    if field == "id":
        return EVERYTHING
    if path == FACTS:
        return {"term": {ATTRIBUTE_NAMES: field.removeprefix(ATTRIBUTE_PREFIX)}}
    return {"exists": {"field": path}}


def _clause(one: Filter) -> Clause:
    if isinstance(one, Terms):
        path = keyword_path(one.field)
        return {"terms": {path: [fact(one.field, value) for value in one.values] if path == FACTS else list(one.values)}}
    if isinstance(one, CategoryPrefix):
        return {"term": {CATEGORY_PATHS: PATH_SEPARATOR.join(one.path)}} if one.path else EVERYTHING
    if isinstance(one, Exists):
        return exists_clause(one.field)
    path = NUMERIC_PATHS[require_numeric(one.field)]
    bounds = {name: bound for name in ("gte", "gt", "lte", "lt") if (bound := getattr(one, name)) is not None}
    return {"range": {path: bounds}} if bounds else exists_clause(one.field)


def _without(clause: Clause) -> Clause:
    return {"bool": {"must_not": [clause]}}
