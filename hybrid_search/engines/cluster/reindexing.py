"""A new products index behind the same alias, for what a live index cannot change: analyzers, field types, shards.

While the copy runs, shoppers search and writers write the old index. What changed meanwhile is copied again, in passes that get shorter,
by the server's own sequence numbers. Then writes are blocked for the last pass and the alias moves in one step: a writer that
meets the block waits and, through the alias, goes on with the new index. Deleted products are found by comparing ids.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.indices import behind_aliases, put_templates
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.mappings import MappingFile
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import EngineUnavailable, NotFoundError

SMALL = 500
"""Changes that the last pass, under the block, may have: below that it takes well under a second."""
PASSES = 20
"""Passes after which the last one is done however many changes there are: writers then wait longer, nothing is lost."""
BATCH = 500
POLL = 0.25
"""Seconds between two looks at a copy under way."""
IDS = 5_000

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (products copied, products in all)."""


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
        ServerError: the server refuses the new mapping, or a product under it. Nothing has changed then: the new index is removed.
        EngineUnavailable: the server cannot be reached; the alias still points to the old index.
    """
    old = behind_aliases(server.transport, server.indices)[server.indices.products]
    new = _next_name(server, old)
    put_templates(server.transport, server.indices, files)
    settings = {"index.number_of_shards": shards, "index.number_of_replicas": 0, "index.refresh_interval": "-1"}
    server.transport.request("PUT", f"/{new}", {"settings": settings | dict(server.dialect.index_settings)})
    try:
        fields = _vector_fields(server, old)
        server.transport.request("PUT", f"/{new}/_mapping", {"properties": {OWN: {"properties": fields}}})
        return _fill_and_swap(server, old, new, replicas, progress, keep_old)
    except BaseException:
        _unblock(server, old)
        if behind_aliases(server.transport, server.indices).get(server.indices.products) != new:
            server.transport.request("DELETE", f"/{new}", ignore=(404,))
        raise


def return_to(server: Server, index: str) -> None:
    """Point the alias back to an index that ``reindex`` kept. What was written since is not in it. Raises ``NotFoundError``."""
    if not server.transport.request("HEAD", f"/{index}", ignore=(404,)).ok:
        raise NotFoundError(f"There is no index {index}.", field="index", value=index, remedy="See the indices with GET /_cat/indices.")
    current = behind_aliases(server.transport, server.indices)[server.indices.products]
    _unblock(server, index)
    _point(server, current, index)


def index_bytes(server: Server) -> int:
    """Disk that one copy of the products takes."""
    reply = server.transport.request("GET", f"/{server.indices.products}/_stats/store")
    return int(reply.body["_all"]["primaries"]["store"]["size_in_bytes"])


def free_bytes(server: Server) -> int | None:
    """Disk that is free on all nodes together, ``None`` where the server does not tell (hosted ones)."""
    reply = server.transport.request("GET", "/_nodes/stats/fs", ignore=(400, 401, 403, 404))
    totals = (
        [node.get("fs", {}).get("total", {}).get("available_in_bytes") for node in reply.body.get("nodes", {}).values()] if reply.ok else []
    )
    return sum(int(total) for total in totals) if totals and all(total is not None for total in totals) else None


def _fill_and_swap(server: Server, old: str, new: str, replicas: int, progress: Progress | None, keep_old: bool) -> Reindexed:
    total = _count(server, old)
    done, passes, copied = -1, 0, 0
    while True:
        upto = _last_change(server, old)
        changed = upto - done
        if passes and (changed <= SMALL or passes >= PASSES):
            break
        copied += _copy(server, old, new, done, total, progress if not passes else None)
        done, passes = upto, passes + 1
    removed = _remove_deleted(server, old, new)
    begun = time.monotonic()
    server.transport.request("PUT", f"/{old}/_settings", {"index.blocks.write": True})
    copied += _copy(server, old, new, done, total, None)
    removed += _remove_deleted(server, old, new)
    server.transport.request("PUT", f"/{new}/_settings", {"index.refresh_interval": None, "index.number_of_replicas": replicas})
    server.transport.request("POST", f"/{new}/_refresh")
    products, expected = _count(server, new), _count(server, old)
    if products != expected:
        raise EngineUnavailable(
            f"The copy {new} has {products} products, {old} has {expected}.", field="index", value=new, remedy="Run reindex again."
        )
    if _vector_fields(server, old).keys() - _vector_fields(server, new).keys():
        raise EngineUnavailable(
            "An embedding space was added while the products were copied.", field="index", value=new, remedy="Run reindex again."
        )
    _point(server, old, new)
    blocked = time.monotonic() - begun
    if not keep_old:
        server.transport.request("DELETE", f"/{old}")
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


def _last_change(server: Server, index: str) -> int:
    """The largest sequence number of what is searchable now; with several shards each has its own, and the least of them is safe."""
    server.transport.request("POST", f"/{index}/_refresh")
    reply = server.transport.request("GET", f"/{index}/_stats/docs", params={"level": "shards"})
    copies = [copy for shard in reply.body["indices"][index]["shards"].values() for copy in shard if copy["routing"]["primary"]]
    return min(int(copy["seq_no"]["max_seq_no"]) for copy in copies)


def _copy(server: Server, old: str, new: str, after: int, total: int, progress: Progress | None) -> int:
    """Copy what changed after a sequence number, vectors included; returns how many documents."""
    body = {
        "source": {"index": old, "size": BATCH, "query": {"range": {"_seq_no": {"gt": after}}}},
        "dest": {"index": new},
    }
    server.transport.request("POST", f"/{old}/_refresh")
    task = server.transport.request("POST", "/_reindex", body, params={"wait_for_completion": "false"}).body["task"]
    while True:
        reply = server.transport.request("GET", f"/_tasks/{task}").body
        status = reply["task"]["status"]
        if progress is not None:
            progress(int(status["created"]) + int(status["updated"]), total)
        if reply["completed"]:
            break
        time.sleep(POLL)
    if reply.get("error") or reply["response"]["failures"]:
        reason = reply.get("error") or reply["response"]["failures"][0]
        raise ServerError(
            f"Copying {old} into {new} failed: {_reason(reason)}", status=400, remedy="Correct the mapping files and run it again."
        )
    return int(status["created"]) + int(status["updated"])


def _reason(failure: Any) -> str:
    cause = failure.get("cause", failure) if isinstance(failure, dict) else failure
    named = f"product {failure['id']!r}: " if isinstance(failure, dict) and "id" in failure else ""
    return (
        f"{named}{cause.get('reason', cause)} {cause.get('caused_by', {}).get('reason', '')}".strip()
        if isinstance(cause, dict)
        else str(cause)
    )


def _remove_deleted(server: Server, old: str, new: str) -> int:
    """Remove from the copy what is no longer in the old index; equal counts need no look at the ids."""
    server.transport.request("POST", f"/{old},{new}/_refresh")
    if _count(server, old) == _count(server, new):
        return 0
    there = _ids(server, old)
    current = next(there, None)
    gone: list[str] = []
    for id_ in _ids(server, new):
        while current is not None and current < id_:
            current = next(there, None)
        if current != id_:
            gone.append(id_)
    results = send_bulk(server.transport, [Action("delete", new, id_, require_alias=False) for id_ in gone])
    return sum(result.ok for result in results)


def _ids(server: Server, index: str) -> Iterator[str]:
    """Document ids by ``id`` in order."""
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {"size": IDS, "sort": [{"id": "asc"}], "_source": False, "track_total_hits": False}
        if after is not None:
            body["search_after"] = after
        hits = server.transport.request("POST", f"/{index}/_search", body).body["hits"]["hits"]
        yield from (hit["_id"] for hit in hits)
        if len(hits) < IDS:
            return
        after = hits[-1]["sort"]


def _count(server: Server, index: str) -> int:
    return int(server.transport.request("GET", f"/{index}/_count").body["count"])


def _point(server: Server, old: str, new: str) -> None:
    """Move the alias in one step."""
    alias = server.indices.products
    actions = [{"remove": {"index": old, "alias": alias}}, {"add": {"index": new, "alias": alias}}]
    server.transport.request("POST", "/_aliases", {"actions": actions})


def _unblock(server: Server, index: str) -> None:
    server.transport.request("PUT", f"/{index}/_settings", {"index.blocks.write": None}, ignore=(404,))
