"""Filters of a plan as clauses of a server's query. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_search.engines.cluster.fields import EVERYTHING, OWN_FIELDS, Clause, Fields
from hybrid_search.types import CategoryPrefix, Exists, Filter, Terms


def filter_clauses(filters: Sequence[Filter], exclude_ids: Sequence[str] = (), fields: Fields = OWN_FIELDS) -> list[Clause]:
    """Clauses that a product must all pass, none of them scored. Raises ``QueryError`` for a field that cannot be filtered."""
    clauses = [_without(_clause(one, fields)) if one.exclude else _clause(one, fields) for one in filters]
    if exclude_ids:
        clauses.append(_without({"terms": {"id": list(exclude_ids)}}))
    return clauses


def _clause(one: Filter, fields: Fields) -> Clause:
    if isinstance(one, Terms):
        return fields.terms(one.field, one.values)
    if isinstance(one, CategoryPrefix):
        return fields.below(one.path) if one.path else EVERYTHING
    if isinstance(one, Exists):
        return fields.exists(one.field)
    bounds = {name: bound for name in ("gte", "gt", "lte", "lt") if (bound := getattr(one, name)) is not None}
    return fields.range(one.field, bounds) if bounds else fields.exists(one.field)


def _without(clause: Clause) -> Clause:
    return {"bool": {"must_not": [clause]}}
