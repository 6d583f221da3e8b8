"""Opening chunks: pending products are found, claimed, looked at once more, and queued. ``chunk_store`` says how claims work."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from hybrid_search.engines.cluster.bulk import Action
from hybrid_search.engines.cluster.candidates import Candidates, find_candidates
from hybrid_search.engines.cluster.chunk_store import IS_CHUNK, claim_id, move, read_claims, refresh, release, send
from hybrid_search.engines.cluster.documents import document_id
from hybrid_search.engines.cluster.entries import Ledger, Spaces, read_ledger
from hybrid_search.engines.cluster.pages import pages
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.types import Chunk, Priority

CHUNKS_PER_PASS = 16
"""A long list of chunks is opened in several passes of a few requests each."""


def open_chunks(server: Server, *, at_most: int, size: int, now: float, backfill: int | None = None) -> list[Chunk]:
    """``Ledger.open_chunks``. Processes that call this at the same moment may together open more than ``at_most``, at most one call's more each."""
    refresh(server, server.indices.chunks)
    taken: set[str] = set()
    count = 0
    for hit in pages(server, server.indices.chunks, IS_CHUNK, by="chunk", fields=["product_ids"]):
        taken.update(hit["_source"]["product_ids"])
        count += 1
    spaces = read_spaces(server).fields
    if count >= at_most or not spaces:
        return []
    server.look()
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
    release(server, {chunk_id: ids for chunk_id, ids in let_go.items() if ids})
    moves = [
        # nobody else queues this chunk: "queued" is an answer of the server that was lost
        move(server, chunk.id, ["opening", "queued"], {"state": "queued", "product_ids": chunk.product_ids, "beat": now})
        if chunk.product_ids
        else Action("delete", server.indices.chunks, chunk.id)
        for chunk in kept
    ]
    queued = [chunk for chunk, result in zip(kept, send(server, moves), strict=True) if result.result == "updated"]
    swept = {chunk.id: chunk.product_ids for chunk in kept if chunk.product_ids and chunk not in queued}
    release(server, swept)
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
    actions += [Action("create", index, claim_id(id_), {"kind": "claim", "chunk": chunk.id, "product_ids": [id_]}) for chunk, id_ in pairs]
    results = send(server, actions)
    refused = [result for result in results if not result.ok and not result.conflict]
    if refused:
        raise ServerError(f"The search server refused to open a chunk: {refused[0].error}", status=refused[0].status)
    contested = {id_ for (_, id_), result in zip(pairs, results[len(wanted) :], strict=True) if result.conflict}
    # a claim of our own is there where the answer to its first try was lost
    held = read_claims(server, sorted(contested)) if contested else {}
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
