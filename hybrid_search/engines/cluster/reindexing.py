"""A new products index behind the same alias, for what a live index cannot change: analyzers, field types, shards.

While the copy runs, shoppers search and writers write the old index. What changed meanwhile is copied again, in passes that get shorter,
by the server's own sequence numbers. Then writes are blocked for the last pass and the alias moves in one step: a writer that
meets the block waits and, through the alias, goes on with the new index. Deleted products are found by comparing counts, and ids only
where these differ. An embedding space that is added meanwhile comes along.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.copying import (
    Progress,
    Reached,
    changes_between,
    copy_changes,
    count,
    end_copies,
    id_bounds,
    remove_deleted,
    shard_changes,
)
from hybrid_search.engines.cluster.indices import EXISTS, behind_aliases, put_templates, read_templates
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.mappings import MappingFile
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import ConflictError, EngineError, EngineUnavailable, NotFoundError

SMALL = 500
"""Changes that the last pass, under the block, may have: below that it takes well under a second."""
PASSES = 20
"""Passes after which the last one is done however many changes there are: writers then wait longer, nothing is lost."""
GRACE = 5.0
"""Seconds between the move of the alias and the end of the old index: a writer that has read there meets the block, and goes on with the
new index. Meeting no index at all, the server would make one of that name."""

GB = 1e9


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What was done: names of both indices, documents copied in all passes, and for how long writers had to wait."""

    old: str
    new: str
    products: int
    copied: int
    removed: int
    passes: int
    blocked_seconds: float


def reindex(
    server: Server, files: dict[str, MappingFile], *, shards: int, replicas: int, progress: Progress | None = None, keep_old: bool = True
) -> Reindexed:
    """Copy the products into a new index made from ``files`` and put it in the old one's place.

    Args:
        files: the mapping files, which become the templates (``load_mappings``).
        shards, replicas: of the new index.
        keep_old: whether the old index stays, closed to writes, as a way back (``return_to``).

    Raises:
        ServerError: the server refuses the new mapping, or a product under it. Nothing has changed then: the new index is removed, the templates are as before.
        EngineUnavailable: the server cannot be reached, or somebody ended the copy; the alias still points to the old index.
        ConflictError: another reindex is under way, or has moved the alias meanwhile. What it has made is left as it is.
    """
    old = _behind(server)
    new = _next_name(server, old)
    settings = {"index.number_of_shards": shards, "index.number_of_replicas": 0, "index.refresh_interval": "-1"}
    templates = read_templates(server.transport, server.indices)
    try:
        put_templates(server.transport, server.indices, files)
        server.transport.request("PUT", f"/{new}", {"settings": settings | dict(server.dialect.index_settings)})
        serving = {**files["serving"].body["settings"]["index"], "number_of_replicas": replicas}
        return _fill_and_swap(server, old, new, serving, progress, keep_old)
    except BaseException as err:
        if isinstance(err, ServerError) and err.reason == EXISTS:
            raise ConflictError(
                f"There is an index {new} since a moment ago: another reindex is under way.",
                field="index",
                value=new,
                remedy=f"Wait for its end. Where there is none, delete {new} and run it again.",
            ) from err
        _undo(server, old, new, templates)
        raise


def _undo(server: Server, old: str, new: str, templates: Mapping[str, Mapping[str, Any]]) -> None:
    """Take back what a reindex that fails has made. Where the alias has moved already, here or in another reindex, the old index stays
    closed, what is written there would be lost, and so do the templates, which are those of the index behind the alias."""
    behind = _behind(server)
    if behind == new:
        return
    try:
        if behind == old:
            _unblock(server, old)
        end_copies(server.transport, new)  # it would make the index anew
    finally:
        try:
            server.transport.request("DELETE", f"/{new}", ignore=(404,))
        finally:
            if behind == old:
                for path, body in templates.items():
                    server.transport.request("PUT", path, body)


def return_to(server: Server, index: str) -> None:
    """Point the alias back to an index that ``reindex`` kept. What was written since is not in it; what is written now waits.

    Embedding spaces that were added since are filled anew. Raises ``NotFoundError`` where ``index`` is no products index.
    """
    current = _behind(server)
    if index == current:
        return
    held = server.transport.request("GET", f"/{index}", ignore=(404,))
    if not held.ok or not index.startswith(f"{server.indices.products}-"):
        raise NotFoundError(
            f"There is no index {index} of products.",
            field="index",
            value=index,
            remedy=f"See those there are with GET /_cat/indices/{server.indices.products}-*.",
        )
    try:
        _block(server, current)
        _copy_vector_fields(server, current, index)
        _unblock(server, index)
        _point(server, current, index)
    except BaseException:
        if _behind(server) == current:
            _unblock(server, current)
        raise


def index_bytes(transport: Transport, index: str) -> int:
    """Disk that one copy of the documents takes."""
    reply = transport.request("GET", f"/{quote(index, safe='')}/_stats/store")
    return int(reply.body["_all"]["primaries"]["store"]["size_in_bytes"])


def require_space(transport: Transport, needed: float) -> None:
    """Raises ``EngineError`` where the disks of all nodes together have not ``needed`` bytes and a fifth more. Hosted servers do not tell."""
    reply = transport.request("GET", "/_nodes/stats/fs", ignore=(400, 401, 403, 404))
    totals = (
        [node.get("fs", {}).get("total", {}).get("available_in_bytes") for node in reply.body.get("nodes", {}).values()] if reply.ok else []
    )
    if not totals or any(total is None for total in totals):
        return
    free = sum(map(int, totals))
    if needed * 1.2 > free:
        raise EngineError(
            f"The copy needs some {needed / GB:,.1f} GB, the server has {free / GB:,.1f} GB free.",
            field="disk",
            value=free,
            remedy="Free space or add a node first.",
        )


def _fill_and_swap(server: Server, old: str, new: str, serving: Mapping[str, Any], progress: Progress | None, keep_old: bool) -> Reindexed:
    total = count(server.transport, old)
    done: Reached | None = None
    passes = copied = 0
    while True:
        upto = shard_changes(server.transport, old)
        if passes and (changes_between(done, upto) <= SMALL or passes >= PASSES):
            break
        _copy_vector_fields(server, old, new)  # vectors of a space that is added later are changes after ``upto``: the next pass has them
        copied += copy_changes(server, old, new, done, upto, total=total, progress=progress if not passes else None)
        done, passes = upto, passes + 1
    bounds = id_bounds(server, old)
    removed = remove_deleted(server, old, new, bounds)
    begun = time.monotonic()
    _block(server, old)
    _copy_vector_fields(server, old, new)
    copied += copy_changes(server, old, new, done, shard_changes(server.transport, old))
    removed += remove_deleted(server, old, new, bounds)
    server.transport.request("PUT", f"/{new}/_settings", {"index": dict(serving)})
    server.transport.request("POST", f"/{new}/_refresh")
    products, expected = count(server.transport, new), count(server.transport, old)
    if products != expected:
        raise EngineUnavailable(
            f"The copy {new} has {products} products, {old} has {expected}.", field="index", value=new, remedy="Run reindex again."
        )
    _point(server, old, new)
    blocked = time.monotonic() - begun
    _copy_vector_fields(server, old, new)  # of a space that was added in the last moment: nothing could be written there yet
    if not keep_old:
        time.sleep(GRACE)
        server.transport.request("DELETE", f"/{old}", ignore=(404,))
    return Reindexed(old, new, products, copied, removed, passes + 1, blocked)


def _next_name(server: Server, old: str) -> str:
    """The next number that is free: a copy that failed half-way may have left one."""
    numbered = re.fullmatch(r"(.*)-(\d{6})", old)
    stem, number = (numbered[1], int(numbered[2])) if numbered else (server.indices.products, 0)
    while True:
        number += 1
        name = f"{stem}-{number:06}"
        if not server.transport.request("HEAD", f"/{name}", ignore=(404,)).ok:
            return name


def _vector_fields(server: Server, index: str) -> dict[str, Any]:
    """Mappings of the vector fields, which no template has, by name under ``hybrid``."""
    mapping = server.transport.request("GET", f"/{index}/_mapping").body[index]["mappings"]
    own = mapping.get("properties", {}).get(OWN, {}).get("properties", {})
    return {name: field for name, field in own.items() if name.startswith("vec_")}


def _copy_vector_fields(server: Server, old: str, new: str) -> None:
    """Give ``new`` the vector fields that it lacks."""
    held, there = _vector_fields(server, old), _vector_fields(server, new)
    if missing := {name: field for name, field in held.items() if name not in there}:
        server.transport.request("PUT", f"/{new}/_mapping", {"properties": {OWN: {"properties": missing}}})


def _behind(server: Server) -> str:
    """The index that the alias points to."""
    return behind_aliases(server.transport, server.indices)[server.indices.products]


def _point(server: Server, old: str, new: str) -> None:
    """Move the alias in one step. Raises ``ConflictError`` where it does not point to ``old`` any more."""
    alias = server.indices.products
    # without ``must_exist`` servers would carry out the second half alone where another reindex has moved the alias
    actions = [{"remove": {"index": old, "alias": alias, "must_exist": True}}, {"add": {"index": new, "alias": alias}}]
    try:
        server.transport.request("POST", "/_aliases", {"actions": actions})
    except ServerError as err:
        behind = _behind(server)
        if behind == new:  # refused the second time, where the answer to the first was lost
            return
        if behind != old:
            raise ConflictError(
                f"{alias} points to {behind} since a moment ago: another reindex has been quicker.",
                field="index",
                value=behind,
                remedy="Run it again if it is still wanted.",
            ) from err
        raise


def _block(server: Server, index: str) -> None:
    """Refuse writes. The server answers when the last write that was under way has ended; the bare setting would not wait for it.

    Raises ``EngineUnavailable`` where the server could not wait for that.
    """
    reply = server.transport.request("PUT", f"/{index}/_block/write").body
    blocked_before = reply["acknowledged"] and not reply["indices"]  # then both products say of the shards that they have not acknowledged
    if not (blocked_before or (reply["acknowledged"] and reply["shards_acknowledged"])):
        raise EngineUnavailable(
            f"The server blocks writes to {index} and cannot tell whether the writes under way have ended.",
            field="index",
            value=index,
            remedy="See whether a node is overloaded or gone; run it again.",
        )


def _unblock(server: Server, index: str) -> None:
    server.transport.request("PUT", f"/{index}/_settings", {"index.blocks.write": None}, ignore=(404,))
