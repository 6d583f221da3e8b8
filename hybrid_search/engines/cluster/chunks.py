"""Chunks on a server: which pending products are being worked on, and what becomes of those whose worker died.

Two kinds of documents in one index of one shard. A *chunk* is a list of products and a state:

    opening → queued → running → (finishing | burying) → gone

A *claim* (``_id`` from the product's id) names the chunk that a product is in. It is made by ``create``, which the server grants once,
so no product is in two chunks, however many processes open chunks at once. A chunk is written before its claims and removed after
them, and every step is conditional on the state before, so a process may die between any two requests: ``give_up_chunks`` ends what it
left half done. The claims decide; what a search finds is only where to look.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.bulk import Action, ItemResult, send_bulk
from hybrid_search.engines.cluster.candidates import WINDOW, Candidates, find_candidates
from hybrid_search.engines.cluster.documents import document_id
from hybrid_search.engines.cluster.entries import (
    Ledger,
    Spaces,
    attempt_started,
    attempt_taken_back,
    buried,
    read_ledger,
)
from hybrid_search.engines.cluster.failures import change_ledgers
from hybrid_search.engines.cluster.pages import pages
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.types import Chunk, Priority

CHUNKS_PER_PASS = 16
"""A long list of chunks is opened in several passes of a few requests each."""

_MOVE = """
boolean mine = params.token != null && params.token.equals(ctx._source.token);
if (mine || (params.from.contains(ctx._source.state) && ctx._source.beat <= params.silent_since)) { ctx._source.putAll(params.set) }
else { ctx.op = 'none' }
"""
"""The only way a chunk changes its state."""
_ANY_TIME = 1e300
_ORPHANS = 100
"""Chunks whose left-over claims one ``give_up_chunks`` removes."""


def open_chunks(server: Server, *, at_most: int, size: int, now: float, backfill: int | None = None) -> list[Chunk]:
    """``Ledger.open_chunks``. Processes that call this at the same moment may together open more than ``at_most``, at most one call's more each."""
    _refresh(server, server.indices.chunks)
    taken: set[str] = set()
    count = 0
    for hit in pages(server, server.indices.chunks, {"term": {"kind": "chunk"}}, by="chunk", fields=["product_ids"]):
        taken.update(hit["_source"]["product_ids"])
        count += 1
    spaces = read_spaces(server).fields
    if count >= at_most or not spaces:
        return []
    _refresh(server, server.indices.products)
    opened: list[Chunk] = []
    while count + len(opened) < at_most:
        room = min(at_most - count - len(opened), CHUNKS_PER_PASS)
        left = None if backfill is None else backfill - _backfilled(opened)
        candidates = find_candidates(server, spaces, taken, room=room, size=size, now=now)
        wanted = _group(candidates, room, size, left)
        if not wanted:
            break
        taken.update(id_ for chunk in wanted for id_ in chunk.product_ids)
        opened += _open(server, wanted, spaces, now)
        if len(wanted) < room and not candidates.more:
            break
    return opened


def start_chunk(server: Server, chunk_id: str, *, now: float) -> Chunk | None:
    """``Ledger.start_chunk``."""
    found = _move_one(server, chunk_id, ["queued"], {"state": "running", "beat": now}, token=uuid.uuid4().hex)
    if found is None:
        return None
    chunk = _chunk(found)
    if len(chunk.product_ids) == 1:
        spaces = read_spaces(server).fields
        change_ledgers(server, chunk.product_ids, lambda _, ledger: attempt_started(ledger, spaces, chunk=chunk_id))
    return chunk


def beat_chunk(server: Server, chunk_id: str, *, now: float) -> bool:
    """``Ledger.beat_chunk``."""
    return _move_one(server, chunk_id, ["running"], {"beat": now}) is not None


def finish_chunk(server: Server, chunk_id: str, *, now: float) -> None:
    """``Ledger.finish_chunk``. An attempt that ended in neither a failure nor a death is taken back."""
    found = _move_one(server, chunk_id, ["queued", "running", "finishing"], {"state": "finishing", "beat": now})
    if found is not None:
        _finish(server, {chunk_id: _chunk(found).product_ids})


def give_up_chunks(server: Server, *, silent_for: float, max_attempts: int, now: float) -> int:
    """``Ledger.give_up_chunks``. Chunks that a process left half open or half closed are brought to their end on the way."""
    _refresh(server, server.indices.chunks)
    silent = {"bool": {"must_not": {"term": {"state": "queued"}}, "filter": [_IS_CHUNK, {"range": {"beat": {"lte": now - silent_for}}}]}}
    seen = [hit["_source"] for hit in pages(server, server.indices.chunks, silent, by="chunk", fields=["chunk", "state", "product_ids"])]
    ends = {"running": "burying", "burying": "burying", "opening": "finishing", "finishing": "finishing"}
    moves = [
        _move(server, one["chunk"], [one["state"]], {"state": ends[one["state"]], "beat": now}, silent_since=now - silent_for)
        for one in seen
    ]
    won = [one for one, result in zip(seen, _send(server, moves), strict=True) if result.result == "updated"]
    dead = {one["chunk"]: tuple(one["product_ids"]) for one in won if ends[one["state"]] == "burying"}
    _bury(server, dead, max_attempts, now)
    _finish(server, {one["chunk"]: tuple(one["product_ids"]) for one in won if one["chunk"] not in dead})
    _release_orphans(server)
    return len(dead)


def stale_chunks(server: Server, *, queued_for: float, now: float) -> list[Chunk]:
    """``Ledger.stale_chunks``, longest waiting first."""
    _refresh(server, server.indices.chunks)
    since = now - queued_for
    query = {"bool": {"filter": [_IS_CHUNK, {"term": {"state": "queued"}}, {"range": {"beat": {"lte": since}}}]}}
    seen = [hit["_source"] for hit in pages(server, server.indices.chunks, query, by="chunk", fields=_CHUNK_FIELDS)]
    seen.sort(key=lambda one: (one["beat"], one["chunk"]))
    results = _send(server, [_move(server, one["chunk"], ["queued"], {"beat": now}, silent_since=since) for one in seen])
    return [_chunk(one) for one, result in zip(seen, results, strict=True) if result.result == "updated"]


_IS_CHUNK = {"term": {"kind": "chunk"}}
_CHUNK_FIELDS = ["chunk", "state", "product_ids", "priority", "beat"]


# --- opening ---------------------------------------------------------------------------------------------------------


def _group(candidates: Candidates, room: int, size: int, backfill: int | None) -> list[Chunk]:
    """Rounds of one chunk of several products and one of a product that comes alone, live ones until there are no more, then backfill."""
    grouped: list[Chunk] = []
    for priority in Priority:
        together, alone = list(candidates.together[priority]), list(candidates.alone[priority])
        left = backfill if priority is Priority.BACKFILL and backfill is not None else len(together) + len(alone)
        while (together or alone) and left > 0 and len(grouped) < room:
            for waiting, most in ((together, size), (alone, 1)):
                ids = waiting[: min(most, left)]
                if ids and len(grouped) < room:
                    del waiting[: len(ids)]
                    left -= len(ids)
                    grouped.append(Chunk(uuid.uuid4().hex, tuple(ids), priority))
    return grouped


def _backfilled(chunks: Iterable[Chunk]) -> int:
    return sum(len(chunk.product_ids) for chunk in chunks if chunk.priority is Priority.BACKFILL)


def _open(server: Server, wanted: Sequence[Chunk], spaces: Spaces, now: float) -> list[Chunk]:
    """Claim the products of ``wanted`` and queue chunks of those that were won and are due by what is stored at this moment."""
    won = _claim(server, wanted, now)
    kept = _still_due(server, won, spaces, now)
    let_go = {chunk.id: tuple(set(mine.product_ids) - set(chunk.product_ids)) for mine, chunk in zip(won, kept, strict=True)}
    _release(server, {chunk_id: ids for chunk_id, ids in let_go.items() if ids})
    moves = [
        # nobody else queues this chunk: "queued" is an answer of the server that was lost
        _move(server, chunk.id, ["opening", "queued"], {"state": "queued", "product_ids": chunk.product_ids, "beat": now})
        if chunk.product_ids
        else Action("delete", server.indices.chunks, chunk.id)
        for chunk in kept
    ]
    queued = [chunk for chunk, result in zip(kept, _send(server, moves), strict=True) if result.result == "updated"]
    swept = {chunk.id: chunk.product_ids for chunk in kept if chunk.product_ids and chunk not in queued}
    _release(server, swept)
    return queued


def _claim(server: Server, wanted: Sequence[Chunk], now: float) -> list[Chunk]:
    """Write the chunks as ``opening``, then claim their products; gives the chunks with those that were won."""
    index = server.indices.chunks
    common = {"kind": "chunk", "state": "opening", "created": now, "beat": now}
    actions = [
        Action("create", index, chunk.id, common | {"chunk": chunk.id, "product_ids": chunk.product_ids, "priority": chunk.priority.value})
        for chunk in wanted
    ]
    pairs = [(chunk, id_) for chunk in wanted for id_ in chunk.product_ids]
    actions += [Action("create", index, _claim_id(id_), {"kind": "claim", "chunk": chunk.id, "product_ids": [id_]}) for chunk, id_ in pairs]
    results = _send(server, actions)
    refused = [result for result in results if result.status != 409 and result.error is not None]
    if refused:
        raise ServerError(f"The search server refused to open a chunk: {refused[0].error}", status=refused[0].status)
    contested = [id_ for (_, id_), result in zip(pairs, results[len(wanted) :], strict=True) if result.status == 409]
    held = _claims(server, contested) if contested else {}
    lost = {(chunk.id, id_) for chunk, id_ in pairs if id_ in contested and (id_ not in held or held[id_].chunk != chunk.id)}
    return [Chunk(chunk.id, tuple(id_ for id_ in chunk.product_ids if (chunk.id, id_) not in lost), chunk.priority) for chunk in wanted]


def _still_due(server: Server, won: Sequence[Chunk], spaces: Spaces, now: float) -> list[Chunk]:
    """Less what a search had found and is true no more: only who holds the claim can say."""
    ids = [id_ for chunk in won for id_ in chunk.product_ids]
    params = {"_source_includes": "hybrid.parts,hybrid.ledger"}
    stored = server.mget(server.indices.products, map(document_id, ids), params)
    ledgers = {id_: read_ledger(stored[document_id(id_)].get("_source", {})) for id_ in ids if document_id(id_) in stored}

    def due(id_: str, chunk: Chunk) -> bool:
        ledger = ledgers.get(id_, Ledger())
        return ledger.due(spaces, now) is chunk.priority and (len(chunk.product_ids) == 1 or not ledger.alone)

    return [Chunk(chunk.id, tuple(id_ for id_ in chunk.product_ids if due(id_, chunk)), chunk.priority) for chunk in won]


# --- closing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    chunk: str
    delete: Action
    """Removes this very claim, not one that another chunk made since."""


def _finish(server: Server, chunks: Mapping[str, Sequence[str]]) -> None:
    """Close chunks that are ``finishing``: product ids by chunk."""
    counted = {ids[0]: chunk_id for chunk_id, ids in chunks.items() if len(ids) == 1}
    change_ledgers(server, list(counted), lambda id_, ledger: attempt_taken_back(ledger, chunk=counted[id_]))
    _close(server, chunks)


def _bury(server: Server, chunks: Mapping[str, Sequence[str]], max_attempts: int, now: float) -> None:
    """Close chunks that are ``burying``. Only products that they still hold: others may be at work in another chunk by now."""
    if not chunks:
        return
    claims = _claims(server, [id_ for ids in chunks.values() for id_ in ids])
    held = {id_: claim.chunk for id_, claim in claims.items() if claim.chunk in chunks}
    spaces = read_spaces(server).fields
    change_ledgers(server, list(held), lambda id_, ledger: buried(ledger, spaces, chunk=held[id_], max_attempts=max_attempts, now=now))
    _close(server, chunks)


def _close(server: Server, chunks: Mapping[str, Sequence[str]]) -> None:
    """Remove the claims of chunks, then the chunks."""
    _release(server, chunks, [Action("delete", server.indices.chunks, chunk_id) for chunk_id in chunks])


def _release(server: Server, chunks: Mapping[str, Sequence[str]], then: Sequence[Action] = ()) -> None:
    """Remove the claims that these chunks hold on these products; the server keeps the order within its one shard."""
    if chunks:
        claims = _claims(server, [id_ for ids in chunks.values() for id_ in ids])
        own = [claim.delete for id_, claim in claims.items() if claim.chunk in chunks]
        _send(server, [*own, *then])


def _release_orphans(server: Server) -> None:
    """Remove claims without a chunk: their process stood still for so long, half-way, that others closed its chunk."""
    index = server.indices.chunks
    least = {"terms": {"field": "chunk", "size": _ORPHANS, "order": {"chunks": "asc"}}, "aggs": {"chunks": {"filter": _IS_CHUNK}}}
    reply = server.transport.request("POST", f"/{index}/_search", {"size": 0, "aggs": {"by_chunk": least}})
    suspects = [bucket["key"] for bucket in reply.body["aggregations"]["by_chunk"]["buckets"] if bucket["chunks"]["doc_count"] == 0]
    if suspects:
        orphans = sorted(set(suspects) - set(server.mget(index, suspects)))
        query = {"bool": {"filter": [{"term": {"kind": "claim"}}, {"terms": {"chunk": orphans}}]}}
        hits = server.transport.request("POST", f"/{index}/_search", {"size": WINDOW, "query": query}).body["hits"]["hits"]
        ids: dict[str, list[str]] = {}
        for hit in hits:
            ids.setdefault(hit["_source"]["chunk"], []).extend(hit["_source"]["product_ids"])
        _release(server, ids)


# --- requests --------------------------------------------------------------------------------------------------------


def _claim_id(product_id: str) -> str:
    return document_id(f"p:{product_id}")


def _claims(server: Server, ids: Sequence[str]) -> dict[str, _Claim]:
    """The claims on products as they are at this moment."""
    index = server.indices.chunks
    found = server.mget(index, map(_claim_id, ids))
    claims: dict[str, _Claim] = {}
    for id_ in ids:
        claim = found.get(_claim_id(id_))
        if claim is not None:
            guard = {"if_seq_no": claim["_seq_no"], "if_primary_term": claim["_primary_term"]}
            claims[id_] = _Claim(claim["_source"]["chunk"], Action("delete", index, _claim_id(id_), **guard))
    return claims


def _move_one(
    server: Server, chunk_id: str, states: Sequence[str], values: Mapping[str, Any], token: str | None = None
) -> Mapping[str, Any] | None:
    """Set ``values`` of a chunk that is in one of ``states``; gives what it is then, ``None`` where it is in no such state or not there.

    ``token`` recognises a request whose answer was lost.
    """
    if not chunk_id:
        return None
    index = server.indices.chunks
    given = dict(values) | ({"token": token} if token else {})
    body = _script(states, given, token=token)
    params = {"_source": "true", "retry_on_conflict": "20"}
    reply = server.transport.request("POST", f"/{index}/_update/{quote(chunk_id, safe='')}", body, params=params, ignore=(404,))
    server.wrote(index)
    if reply.status == 404 or reply.body["result"] != "updated":
        return None
    found: Mapping[str, Any] = reply.body["get"]["_source"]
    return found


def _move(server: Server, chunk_id: str, states: Sequence[str], values: Mapping[str, Any], *, silent_since: float = _ANY_TIME) -> Action:
    return Action("update", server.indices.chunks, chunk_id, _script(states, values, silent_since=silent_since))


def _script(
    states: Sequence[str], values: Mapping[str, Any], *, silent_since: float = _ANY_TIME, token: str | None = None
) -> dict[str, Any]:
    params = {"from": list(states), "set": dict(values), "silent_since": silent_since, "token": token}
    return {"script": {"lang": "painless", "source": _MOVE, "params": params}}


def _send(server: Server, actions: Sequence[Action]) -> list[ItemResult]:
    if not actions:
        return []
    results = send_bulk(server.transport, actions)
    server.wrote(server.indices.chunks)
    return results


def _refresh(server: Server, index: str) -> None:
    """Make searchable what any process wrote: ``Server.see`` is for this one's writes."""
    server.wrote(index)
    server.see(index)


def _chunk(stored: Mapping[str, Any]) -> Chunk:
    return Chunk(stored["chunk"], tuple(stored["product_ids"]), Priority(stored["priority"]))
