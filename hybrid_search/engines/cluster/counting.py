"""Totals, facets and sort of a plan as one search of a server, and its answer as ours. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.fields import OWN_FIELDS, PATH_SEPARATOR, Clause, Fields
from hybrid_search.engines.cluster.legs import MOST_HITS
from hybrid_search.types import Bucket, Facet, FacetRequest, SearchPlan

SHARD_VALUES = 10_000
"""Values of a facet that each of several shards counts: facets are exact up to so many."""


def match_set(clauses: Sequence[Clause], filters: Sequence[Clause]) -> Clause:
    """Products that match any of ``clauses`` and pass all ``filters``, unscored."""
    return {"bool": {"filter": [{"bool": {"should": list(clauses)}} if clauses else {"match_none": {}}, *filters]}}


def counting_body(plan: SearchPlan, matches: Clause, *, shards: int, fields: Fields = OWN_FIELDS) -> dict[str, Any]:
    """The search that counts ``matches`` exactly. Raises ``QueryError`` for fields that cannot be counted or sorted by."""
    body: dict[str, Any] = {"query": matches, "size": 0, "track_total_hits": True}
    if plan.sort:
        order = [*(one for key in plan.sort for one in fields.order(key.field, descending=key.descending)), {"id": "asc"}]
        body |= {"size": min(plan.sort_limit, MOST_HITS), "sort": order, "_source": False, "stored_fields": "_none_"}
    aggregations: dict[str, Any] = {}
    for number, request in enumerate(plan.facets):
        if request.edges:
            aggregations[f"f{number}"] = _ranges(request, fields)
        else:
            aggregations[f"f{number}"] = _values(request, shards, fields)
            aggregations[f"h{number}"] = {"filter": fields.exists(request.field)}
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


def read_counts(plan: SearchPlan, answer: Mapping[str, Any], fields: Fields = OWN_FIELDS) -> Counts:
    """From one response of ``_msearch``."""
    hits = answer.get("hits", {})
    found = answer.get("aggregations", {})
    facets: list[Facet] = []
    unsure: list[int] = []
    for number, request in enumerate(plan.facets):
        counted = found.get(f"f{number}", {})
        if request.edges:
            facets.append(_read_ranges(request, counted, fields))
            continue
        facet, sure = _read_values(request, counted, found.get(f"h{number}", {}).get("doc_count", 0), fields)
        facets.append(facet)
        if not sure:
            unsure.append(number)
    sorted_ids = tuple(hit["sort"][-1] for hit in hits.get("hits", ())) if plan.sort else None
    return Counts(hits.get("total", {}).get("value", 0), tuple(facets), sorted_ids, tuple(unsure))


def others_body(facet: Facet, matches: Clause, fields: Fields = OWN_FIELDS) -> dict[str, Any]:
    """The search whose total is ``facet.others`` where products have several values: those with the field and none of the shown ones."""
    shown = fields.terms(facet.field, [bucket.value for bucket in facet.buckets])
    query = {"bool": {"filter": [matches, fields.exists(facet.field)], "must_not": [shown]}}
    return {"query": query, "size": 0, "track_total_hits": True}


def _values(request: FacetRequest, shards: int, fields: Fields) -> dict[str, Any]:
    size = SHARD_VALUES if fields.merges(request.field) else max(request.size, 1)  # merged counts are right when all of them are there
    counted: dict[str, Any] = {"size": size, "order": [{"_count": "desc"}, {"_key": "asc"}], **fields.counted(request.field)}
    if shards > 1:
        counted["shard_size"] = max(SHARD_VALUES, size)
    return {"terms": counted}


def _read_values(request: FacetRequest, counted: Mapping[str, Any], having: int, fields: Fields) -> tuple[Facet, bool]:
    """The facet, and whether its ``others`` is certain: a product with several values is in several buckets but counts once."""
    given = [Bucket(fields.shown(request.field, one), one["doc_count"]) for one in counted.get("buckets", ())]
    if fields.merges(request.field):
        counts: Counter[str] = Counter()
        for bucket in given:
            counts[bucket.value] += bucket.count
        given = [Bucket(value, count) for value, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    buckets = tuple(given[: max(request.size, 0)])
    hidden = counted.get("sum_other_doc_count", 0) + sum(bucket.count for bucket in given[len(buckets) :])
    if fields.has_levels(request.field):
        firsts = sum(bucket.count for bucket in buckets if PATH_SEPARATOR not in bucket.value)
        return Facet(request.field, buckets, having - firsts), True
    shown = sum(bucket.count for bucket in buckets)
    single = shown + hidden == having
    return Facet(request.field, buckets, hidden if single else 0), single or not hidden


def _ranges(request: FacetRequest, fields: Fields) -> dict[str, Any]:
    spans = ((_in_units(request, low, fields), _in_units(request, high, fields)) for low, high in _spans(request))
    ranges = [{name: bound for name, bound in (("from", low), ("to", high)) if bound is not None} for low, high in spans]
    return {"range": {**fields.counted_ranges(request.field), "ranges": ranges}}


def _read_ranges(request: FacetRequest, counted: Mapping[str, Any], fields: Fields) -> Facet:
    counts: dict[tuple[float | None, float | None], int] = {
        (one.get("from"), one.get("to")): one["doc_count"] for one in counted.get("buckets", ())
    }
    buckets: list[Bucket] = []
    for low, high in _spans(request):
        count = counts.get((_in_units(request, low, fields), _in_units(request, high, fields)), 0)
        buckets.append(Bucket(f"{_shown(low)}-{_shown(high)}", count, low, high))
    return Facet(request.field, tuple(buckets))


def _in_units(request: FacetRequest, bound: float | None, fields: Fields) -> float | None:
    return None if bound is None else fields.in_units(request.field, bound)


def _spans(request: FacetRequest) -> list[tuple[float | None, float | None]]:
    bounds = (None, *request.edges, None)
    return list(zip(bounds, bounds[1:], strict=False))


def _shown(bound: float | None) -> str:
    return "*" if bound is None else f"{bound:g}"
