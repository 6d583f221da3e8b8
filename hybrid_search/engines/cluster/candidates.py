"""Products that may be chunked, found by search: where to look, while claims and stored ledgers decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.entries import Spaces
from hybrid_search.engines.cluster.layout import ALONE, NEXT_BACKFILL, NEXT_LIVE, PARTS, STATES
from hybrid_search.engines.cluster.pages import search_all
from hybrid_search.engines.cluster.server import Server
from hybrid_search.types import Priority

Clause = dict[str, Any]

WINDOW = 10_000
"""Hits a search gives at most."""
_TERMS = 50_000
"""Values in one ``terms`` clause; a server takes 65,536."""
_TIMES: Mapping[Priority, str] = {Priority.LIVE: NEXT_LIVE, Priority.BACKFILL: NEXT_BACKFILL}


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ids in the order in which they are to be chunked: those that may share a chunk, and those that come alone."""

    together: Mapping[Priority, tuple[str, ...]]
    alone: Mapping[Priority, tuple[str, ...]]
    more: bool
    """Whether a search had more to give."""


def find_candidates(server: Server, spaces: Spaces, taken: Collection[str], *, room: int, size: int, now: float) -> Candidates:
    """Enough for ``room`` chunks of ``size``, without the ids in ``taken``: four searches in one request."""
    wanted = [(priority, alone) for priority in Priority for alone in (False, True)]
    sizes = [min(room if alone else room * size, WINDOW) for _, alone in wanted]
    searches = [
        (server.indices.products, _body(_query(priority, spaces, taken, alone, now), priority, most))
        for (priority, alone), most in zip(wanted, sizes, strict=True)
    ]
    answers = search_all(server, searches, "looking for pending products")
    found = [tuple(hit["fields"]["id"][0] for hit in answer["hits"]["hits"]) for answer in answers]
    by_kind = dict(zip(wanted, found, strict=True))
    return Candidates(
        together={priority: by_kind[priority, False] for priority in Priority},
        alone={priority: by_kind[priority, True] for priority in Priority},
        more=any(len(ids) == most for ids, most in zip(found, sizes, strict=True)),
    )


def _body(query: Clause, priority: Priority, size: int) -> Clause:
    return {
        "size": size,
        "query": query,
        "track_total_hits": False,
        "stored_fields": "_none_",
        "docvalue_fields": ["id"],
        "sort": [{_TIMES[priority]: {"order": "asc", "missing": "_first"}}, {"id": "asc"}],
    }


def _query(priority: Priority, spaces: Spaces, taken: Collection[str], alone: bool, now: float) -> Clause:
    """A product that is due as a live one is no backfill, whatever else of it waits."""
    pending = {"terms": {STATES["pending"]: list(spaces)}}
    live = {"bool": {"filter": [pending, {"range": {NEXT_LIVE: {"lte": now}}}]}}
    ids = sorted(taken)
    excluded: list[Clause] = [{"terms": {"id": ids[start : start + _TERMS]}} for start in range(0, len(ids), _TERMS)]
    is_alone = {"term": {ALONE: True}}
    if priority is Priority.LIVE:
        due: list[Clause] = [live]
    else:
        explicit = {"bool": {"filter": [pending, {"range": {NEXT_BACKFILL: {"lte": now}}}]}}
        due = [{"bool": {"should": [explicit, *(_without_entry(field, space.part) for field, space in spaces.items())]}}]
        excluded.append(live)
    return {"bool": {"filter": [*due, is_alone] if alone else due, "must_not": excluded if alone else [*excluded, is_alone]}}


def _without_entry(field: str, part: str) -> Clause:
    """Products that have the part and nothing in the field yet: pending as a backfill."""
    settled: list[Clause] = [{"term": {path: field}} for path in STATES.values()]
    return {"bool": {"filter": [{"exists": {"field": f"{PARTS}.{part}"}}], "must_not": settled}}
