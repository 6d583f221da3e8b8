"""Chunks at work: started, alive, finished, given up. ``chunk_store`` says how their states and claims work."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from hybrid_search.engines.cluster.candidates import WINDOW
from hybrid_search.engines.cluster.chunk_store import IS_CHUNK, close, move, move_one, parse_chunk, read_claims, refresh, release, send
from hybrid_search.engines.cluster.entries import Ledger, attempt_started, attempt_taken_back, buried
from hybrid_search.engines.cluster.failures import change_ledgers
from hybrid_search.engines.cluster.pages import pages
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.types import Chunk

_CHUNK_FIELDS = ["chunk", "state", "product_ids", "priority", "beat"]
_ORPHANS = 100
"""Chunks whose left-over claims one ``give_up_chunks`` removes."""


def start_chunk(server: Server, chunk_id: str, *, now: float) -> Chunk | None:
    """``Ledger.start_chunk``."""
    found = move_one(server, chunk_id, ["queued"], {"state": "running", "beat": now}, token=uuid.uuid4().hex)
    if found is None:
        return None
    chunk = parse_chunk(found)
    if len(chunk.product_ids) == 1:
        spaces = read_spaces(server).fields
        change_ledgers(server, chunk.product_ids, lambda _, ledger: attempt_started(ledger, spaces, chunk=chunk_id), spaces=spaces)
    return chunk


def beat_chunk(server: Server, chunk_id: str, *, now: float) -> bool:
    """``Ledger.beat_chunk``."""
    return move_one(server, chunk_id, ["running"], {"beat": now}) is not None


def finish_chunk(server: Server, chunk_id: str, *, now: float) -> None:
    """``Ledger.finish_chunk``. An attempt that ended in neither a failure nor a death is taken back."""
    found = move_one(server, chunk_id, ["queued", "running", "finishing"], {"state": "finishing", "beat": now})
    if found is not None:
        _finish(server, {chunk_id: parse_chunk(found).product_ids})


def give_up_chunks(server: Server, *, silent_for: float, max_attempts: int, now: float) -> int:
    """``Ledger.give_up_chunks``. Chunks that a process left half open or half closed are brought to their end on the way."""
    refresh(server, server.indices.chunks)
    silent = {"bool": {"must_not": {"term": {"state": "queued"}}, "filter": [IS_CHUNK, {"range": {"beat": {"lte": now - silent_for}}}]}}
    seen = [hit["_source"] for hit in pages(server, server.indices.chunks, silent, by="chunk", fields=["chunk", "state", "product_ids"])]
    ends = {"running": "burying", "burying": "burying", "opening": "finishing", "finishing": "finishing"}
    moves = [
        move(server, one["chunk"], [one["state"]], {"state": ends[one["state"]], "beat": now}, silent_since=now - silent_for)
        for one in seen
    ]
    won = [one for one, result in zip(seen, send(server, moves), strict=True) if result.result == "updated"]
    dead = {one["chunk"]: tuple(one["product_ids"]) for one in won if ends[one["state"]] == "burying"}
    _bury(server, dead, max_attempts, now)
    _finish(server, {one["chunk"]: tuple(one["product_ids"]) for one in won if one["chunk"] not in dead})
    _release_orphans(server)
    return len(dead)


def stale_chunks(server: Server, *, queued_for: float, now: float) -> list[Chunk]:
    """``Ledger.stale_chunks``, longest waiting first."""
    refresh(server, server.indices.chunks)
    since = now - queued_for
    query = {"bool": {"filter": [IS_CHUNK, {"term": {"state": "queued"}}, {"range": {"beat": {"lte": since}}}]}}
    seen = [hit["_source"] for hit in pages(server, server.indices.chunks, query, by="chunk", fields=_CHUNK_FIELDS)]
    seen.sort(key=lambda one: (one["beat"], one["chunk"]))
    results = send(server, [move(server, one["chunk"], ["queued"], {"beat": now}, silent_since=since) for one in seen])
    return [parse_chunk(one) for one, result in zip(seen, results, strict=True) if result.result == "updated"]


def _finish(server: Server, chunks: Mapping[str, Sequence[str]]) -> None:
    """Close chunks that are ``finishing``: product ids by chunk. A product that the server refuses to change holds up no other."""
    counted = {ids[0]: chunk_id for chunk_id, ids in chunks.items() if len(ids) == 1}
    change_ledgers(server, list(counted), lambda id_, ledger: attempt_taken_back(ledger, chunk=counted[id_]), require=False)
    close(server, chunks)


def _bury(server: Server, chunks: Mapping[str, Sequence[str]], max_attempts: int, now: float) -> None:
    """Close chunks that are ``burying``. Only products that they still hold: others may be at work in another chunk by now."""
    if not chunks:
        return
    claims = read_claims(server, [id_ for ids in chunks.values() for id_ in ids])
    held = {id_: claim.chunk for id_, claim in claims.items() if claim.chunk in chunks}
    spaces = read_spaces(server).fields

    def bury(id_: str, ledger: Ledger) -> Ledger:
        return buried(ledger, spaces, chunk=held[id_], max_attempts=max_attempts, now=now)

    change_ledgers(server, list(held), bury, spaces=spaces, require=False)
    close(server, chunks)


def _release_orphans(server: Server) -> None:
    """Remove claims without a chunk: their process stood still for so long, half-way, that others closed its chunk."""
    index = server.indices.chunks
    least = {"terms": {"field": "chunk", "size": _ORPHANS, "order": {"chunks": "asc"}}, "aggs": {"chunks": {"filter": IS_CHUNK}}}
    reply = server.transport.request("POST", f"/{index}/_search", {"size": 0, "aggs": {"by_chunk": least}})
    suspects = [bucket["key"] for bucket in reply.body["aggregations"]["by_chunk"]["buckets"] if bucket["chunks"]["doc_count"] == 0]
    if suspects:
        orphans = sorted(set(suspects) - set(server.mget(index, suspects)))
        query = {"bool": {"filter": [{"term": {"kind": "claim"}}, {"terms": {"chunk": orphans}}]}}
        hits = server.transport.request("POST", f"/{index}/_search", {"size": WINDOW, "query": query}).body["hits"]["hits"]
        ids: dict[str, list[str]] = {}
        for hit in hits:
            ids.setdefault(hit["_source"]["chunk"], []).extend(hit["_source"]["product_ids"])
        release(server, ids)
