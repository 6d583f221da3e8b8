"""Chunk documents and claims on a server: every request about them.

Two kinds of documents in one index of one shard. A *chunk* is a list of products and a state:

    opening → queued → running → (finishing | burying) → gone

A *claim* (``_id`` from the product's id) names the chunk that a product is in. It is made by ``create``, which the server grants once,
so no product is in two chunks, however many processes open chunks at once. A chunk is written before its claims and removed after
them, and every step is conditional on the state before, so a process may die between any two requests: ``give_up_chunks`` ends what it
left half done. The claims decide; what a search finds is only where to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.bulk import Action, ItemResult, send_bulk
from hybrid_search.engines.cluster.documents import document_id
from hybrid_search.engines.cluster.problems import problem
from hybrid_search.engines.cluster.server import Server, raise_item
from hybrid_search.types import Chunk, Priority

IS_CHUNK = {"term": {"kind": "chunk"}}

_MOVE = """
boolean mine = params.token != null && params.token.equals(ctx._source.token);
if (mine || (params.from.contains(ctx._source.state) && ctx._source.beat <= params.silent_since)) { ctx._source.putAll(params.set) }
else { ctx.op = 'none' }
"""
"""The only way a chunk changes its state."""
_ANY_TIME = 1e300
"""After any beat."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That a product is in a chunk."""

    chunk: str
    delete: Action
    """Removes this very claim, not one that another chunk made since."""


def claim_id(product_id: str) -> str:
    """``_id`` of the claim on a product."""
    return document_id(f"p:{product_id}")


def read_claims(server: Server, ids: Sequence[str]) -> dict[str, Claim]:
    """The claims on products as they are at this moment."""
    index = server.indices.chunks
    found = server.mget(index, map(claim_id, ids))
    claims: dict[str, Claim] = {}
    for id_ in ids:
        claim = found.get(claim_id(id_))
        if claim is not None:
            guard = {"if_seq_no": claim["_seq_no"], "if_primary_term": claim["_primary_term"]}
            claims[id_] = Claim(claim["_source"]["chunk"], Action("delete", index, claim_id(id_), **guard))
    return claims


def move_one(
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
    params = {"_source": "true", "retry_on_conflict": "20", "require_alias": "true"}
    reply = server.transport.request("POST", f"/{index}/_update/{quote(chunk_id, safe='')}", body, params=params, ignore=(404,))
    if reply.status == 404 and problem(reply.body).type != "document_missing_exception":
        raise_item(reply.body, f"changing chunk {chunk_id}")  # the alias is gone
    server.wrote(index)
    if reply.status == 404 or reply.body["result"] != "updated":
        return None
    found: Mapping[str, Any] = reply.body["get"]["_source"]
    return found


def move(server: Server, chunk_id: str, states: Sequence[str], values: Mapping[str, Any], *, silent_since: float = _ANY_TIME) -> Action:
    """The same for a bulk, and only if the chunk last beat at ``silent_since`` or before; its result is ``updated`` where it was done."""
    return Action("update", server.indices.chunks, chunk_id, _script(states, values, silent_since=silent_since))


def _script(
    states: Sequence[str], values: Mapping[str, Any], *, silent_since: float = _ANY_TIME, token: str | None = None
) -> dict[str, Any]:
    params = {"from": list(states), "set": dict(values), "silent_since": silent_since, "token": token}
    return {"script": {"lang": "painless", "source": _MOVE, "params": params}}


def send(server: Server, actions: Sequence[Action]) -> list[ItemResult]:
    """Write chunks and claims, in this order."""
    if not actions:
        return []
    results = send_bulk(server.transport, actions)
    server.wrote(server.indices.chunks)
    return results


def refresh(server: Server, index: str) -> None:
    """Make searchable what any process wrote: ``Server.see`` is for this one's writes."""
    server.wrote(index)
    server.see(index)


def parse_chunk(stored: Mapping[str, Any]) -> Chunk:
    """A chunk as it travels, from its document."""
    return Chunk(stored["chunk"], tuple(stored["product_ids"]), Priority(stored["priority"]))


def close(server: Server, chunks: Mapping[str, Sequence[str]]) -> None:
    """Remove the claims of chunks, then the chunks."""
    release(server, chunks, [Action("delete", server.indices.chunks, chunk_id) for chunk_id in chunks])


def release(server: Server, chunks: Mapping[str, Sequence[str]], then: Sequence[Action] = ()) -> None:
    """Remove the claims that these chunks hold on these products; the server keeps the order within its one shard."""
    if chunks:
        claims = read_claims(server, [id_ for ids in chunks.values() for id_ in ids])
        own = [claim.delete for id_, claim in claims.items() if claim.chunk in chunks]
        send(server, [*own, *then])
