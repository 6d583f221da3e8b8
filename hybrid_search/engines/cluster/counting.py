"""Totals, facets and sort of a plan as one search of a server, and its answer as ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.filters import PATH_SEPARATOR, Clause, exists_clause, fact, keyword_path
from hybrid_search.engines.cluster.layout import FACTS, NUMERIC_PATHS
from hybrid_search.engines.cluster.legs import MOST_HITS
from hybrid_search.schema import CATEGORY_FIELD, require_numeric
from hybrid_search.types import Bucket, Facet, FacetRequest, SearchPlan, SortKey

SHARD_VALUES = 10_000
"""Values of a facet that each of several shards counts: facets are exact up to so many."""
_LUCENE_SPECIAL = re.compile(r'([.?+*|{}\[\]()"\\#@&<>~^$-])')


def match_set(clauses: Sequence[Clause], filters: Sequence[Clause]) -> Clause:
    """Products that match any of ``clauses`` and pass all ``filters``, unscored."""
    return {"bool": {"filter": [{"bool": {"should": list(clauses)}} if clauses else {"match_none": {}}, *filters]}}


def counting_body(plan: SearchPlan, matches: Clause, *, shards: int) -> dict[str, Any]:
    """The search that counts ``matches`` exactly. Raises ``QueryError`` for fields that cannot be counted or sorted by."""
    body: dict[str, Any] = {"query": matches, "size": 0, "track_total_hits": True}
    if plan.sort:
        body |= {"size": min(plan.sort_limit, MOST_HITS), "sort": _order(plan.sort), "_source": False, "stored_fields": "_none_"}
    aggregations: dict[str, Any] = {}
    for number, request in enumerate(plan.facets):
        if request.edges:
            aggregations[f"f{number}"] = _ranges(request)
        else:
            aggregations[f"f{number}"] = _values(request, shards)
            aggregations[f"h{number}"] = {"filter": exists_clause(request.field)}
    if aggregations:
        body["aggs"] = aggregations
    return body


@dataclass(frozen=True, slots=True)
class Counts:
    """What the counting search said. ``unsure`` are places in ``facets`` whose ``others`` takes a further count (``others_body``)."""

    total: int
    facets: tuple[Facet, ...]
    sorted_ids: tuple[str, ...] | None
    unsure: tuple[int, ...]


def read_counts(plan: SearchPlan, answer: Mapping[str, Any]) -> Counts:
    """From one response of ``_msearch``."""
    hits = answer.get("hits", {})
    found = answer.get("aggregations", {})
    facets: list[Facet] = []
    unsure: list[int] = []
    for number, request in enumerate(plan.facets):
        counted = found.get(f"f{number}", {})
        if request.edges:
            facets.append(_read_ranges(request, counted))
            continue
        facet, sure = _read_values(request, counted, found.get(f"h{number}", {}).get("doc_count", 0))
        facets.append(facet)
        if not sure:
            unsure.append(number)
    sorted_ids = tuple(hit["sort"][-1] for hit in hits.get("hits", ())) if plan.sort else None
    return Counts(hits.get("total", {}).get("value", 0), tuple(facets), sorted_ids, tuple(unsure))


def others_body(facet: Facet, matches: Clause) -> dict[str, Any]:
    """The search whose total is ``facet.others`` where products have several values: those with the field and none of the shown ones."""
    path = keyword_path(facet.field)
    shown = [fact(facet.field, bucket.value) if path == FACTS else bucket.value for bucket in facet.buckets]
    query = {"bool": {"filter": [matches, exists_clause(facet.field)], "must_not": [{"terms": {path: shown}}]}}
    return {"query": query, "size": 0, "track_total_hits": True}


def _order(keys: Sequence[SortKey]) -> list[Any]:
    by = [{NUMERIC_PATHS[require_numeric(k.field)]: {"order": "desc" if k.descending else "asc", "missing": "_last"}} for k in keys]
    return [*by, {"id": "asc"}]


def _values(request: FacetRequest, shards: int) -> dict[str, Any]:
    path = keyword_path(request.field)
    counted: dict[str, Any] = {"field": path, "size": max(request.size, 1), "order": [{"_count": "desc"}, {"_key": "asc"}]}
    if shards > 1:
        counted["shard_size"] = max(SHARD_VALUES, request.size)
    if path == FACTS:
        counted["include"] = _LUCENE_SPECIAL.sub(r"\\\1", fact(request.field)) + ".*"
    return {"terms": counted}


def _read_values(request: FacetRequest, counted: Mapping[str, Any], having: int) -> tuple[Facet, bool]:
    """The facet, and whether its ``others`` is certain: a product with several values is in several buckets but counts once."""
    path = keyword_path(request.field)
    skip = len(fact(request.field)) if path == FACTS else 0
    given = counted.get("buckets", ())
    buckets = tuple(Bucket(one["key"][skip:], one["doc_count"]) for one in given[: max(request.size, 0)])
    hidden = counted.get("sum_other_doc_count", 0) + sum(one["doc_count"] for one in given[len(buckets) :])
    if request.field == CATEGORY_FIELD:
        # A shown path implies its first level, which counts at least as many and comes first.
        firsts = sum(bucket.count for bucket in buckets if PATH_SEPARATOR not in bucket.value)
        return Facet(request.field, buckets, having - firsts), True
    shown = sum(bucket.count for bucket in buckets)
    single = shown + hidden == having
    return Facet(request.field, buckets, hidden if single else 0), single or not hidden


def _ranges(request: FacetRequest) -> dict[str, Any]:
    bounds = (None, *request.edges, None)
    ranges = [
        {name: bound for name, bound in (("from", low), ("to", high)) if bound is not None}
        for low, high in zip(bounds, bounds[1:], strict=False)
    ]
    return {"range": {"field": NUMERIC_PATHS[require_numeric(request.field)], "ranges": ranges}}


def _read_ranges(request: FacetRequest, counted: Mapping[str, Any]) -> Facet:
    counts = {(one.get("from"), one.get("to")): one["doc_count"] for one in counted.get("buckets", ())}
    bounds = (None, *request.edges, None)
    spans = list(zip(bounds, bounds[1:], strict=False))
    return Facet(
        request.field, tuple(Bucket(f"{_shown(low)}-{_shown(high)}", counts.get((low, high), 0), low, high) for low, high in spans)
    )


def _shown(bound: float | None) -> str:
    return "*" if bound is None else f"{bound:g}"
