"""The figures of ``status``: two searches in one request, neither of which reads a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.base import QueueCounts
from hybrid_search.engines.cluster.chunk_store import IS_CHUNK
from hybrid_search.engines.cluster.entries import Spaces
from hybrid_search.engines.cluster.layout import PARTS, STATES
from hybrid_search.engines.cluster.pages import search_all
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.types import State

_QUEUED, _RUNNING = ("opening", "queued"), ("running", "finishing", "burying")


@dataclass(frozen=True, slots=True)
class Counts:
    """Products, entries by space key and state, chunks."""

    products: int
    states: dict[str, dict[State, int]]
    queue: QueueCounts


def read_counts(server: Server, *, now: float) -> Counts:
    """Counts of what is searchable: of the products, what was at the last ``Server.look``."""
    server.see(server.indices.chunks)
    spaces = read_spaces(server).fields
    counted = {"size": 0, "track_total_hits": True, "aggs": _state_counts(spaces)}
    queued = {"size": 0, "query": IS_CHUNK, "aggs": {"queued": _queue(_QUEUED), "running": _queue(_RUNNING)}}
    products, chunks = search_all(server, [(server.indices.products, counted), (server.indices.chunks, queued)], "counting")
    found = products["aggregations"]
    states = {space.key: _states(found, field, space.part) for field, space in spaces.items()}
    return Counts(products["hits"]["total"]["value"], states, _queue_counts(chunks["aggregations"], now))


def _state_counts(spaces: Spaces) -> dict[str, Any]:
    fields = list(spaces) or [""]
    counted = {state: {"terms": {"field": path, "include": fields, "size": len(fields)}} for state, path in STATES.items()}
    return counted | {part: {"filter": {"exists": {"field": f"{PARTS}.{part}"}}} for part in ("text", "image")}


def _states(found: dict[str, Any], field: str, part: str) -> dict[State, int]:
    """Products with the part and no entry in the field are pending too."""
    told = {state: _in_bucket(found[state], field) for state in State}
    return told | {State.PENDING: max(found[part]["doc_count"] - told[State.READY] - told[State.FAILED], 0)}


def _in_bucket(terms: dict[str, Any], field: str) -> int:
    return next((int(bucket["doc_count"]) for bucket in terms["buckets"] if bucket["key"] == field), 0)


def _queue(states: tuple[str, ...]) -> dict[str, Any]:
    return {
        "filter": {"terms": {"state": list(states)}},
        "aggs": {"created": {"min": {"field": "created"}}, "beat": {"min": {"field": "beat"}}},
    }


def _queue_counts(found: dict[str, Any], now: float) -> QueueCounts:
    queued, running = found["queued"], found["running"]
    oldest = now - queued["created"]["value"] if queued["doc_count"] else 0.0
    stalest = now - running["beat"]["value"] if running["doc_count"] else 0.0
    return QueueCounts(queued["doc_count"], running["doc_count"], max(oldest, 0.0), max(stalest, 0.0))
