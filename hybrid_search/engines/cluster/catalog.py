"""Products in and out of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.documents import body, document_id, source, storable
from hybrid_search.engines.cluster.dropping import rewrite_in
from hybrid_search.engines.cluster.entries import (
    Change,
    Ledger,
    Path,
    Spaces,
    content_put,
    difference,
    ledger_entries,
    read_ledger,
    stored_ledger,
    without,
)
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.rewriting import rewrite
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import SpaceList, read_spaces
from hybrid_search.types import Document, Priority, WriteResult

PAGE = 1_000
"""Products per request of ``scan``."""
_LEDGER_KEYS = frozenset({"parts", "ledger", "pending", "ready", "failed", "next_live", "next_backfill", "alone"})


def put(server: Server, writes: Sequence[ProductWrite], *, priority: Priority, now: float) -> list[WriteResult]:
    """``Catalog.put`` without the wait for search."""
    if not writes:
        return []
    listed = read_spaces(server)
    return [result for run in _runs_of_unique_ids(writes) for result in _put_run(server, run, listed, priority, now)]


def delete(server: Server, ids: Sequence[str]) -> list[WriteResult]:
    """``Catalog.delete`` without the wait for search."""
    outcomes = rewrite(server, ids, lambda _, stored: None if stored is None else Change(delete=True))
    results: list[WriteResult] = []
    for id_ in ids:
        outcome = outcomes.pop(id_, None)
        if outcome is None or outcome.result == "noop":
            results.append(WriteResult(id_, "missing"))
        else:
            results.append(WriteResult(id_, outcome.result, outcome.error))
    return results


def fetch(server: Server, ids: Sequence[str], spaces: Callable[[], Spaces]) -> list[Document | None]:
    """``Catalog.fetch``; ``spaces`` gives the list to read ledgers by, and is asked after the products."""
    wanted = storable(ids)
    if not wanted:
        return [None] * len(ids)
    found = server.mget(server.indices.products, map(document_id, wanted))
    listed = spaces() if found else {}
    documents = {id_: document(stored, listed) for id_, stored in found.items()}
    return [documents.get(document_id(id_)) for id_ in ids]


def scan(server: Server, *, after: str, limit: int) -> list[Document]:
    """``Catalog.scan``; ids are ordered by code point, as UTF-8 bytes are."""
    server.see(server.indices.products)
    spaces = read_spaces(server).fields
    found: list[Document] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        request: dict[str, Any] = {
            "size": size,
            "sort": [{"id": "asc"}],
            "seq_no_primary_term": True,
            "track_total_hits": False,
            "_source": {"excludes": ["hybrid.vec_*"]},
        }
        if after:
            request["search_after"] = [after]
        params = {"allow_partial_search_results": "false"}
        hits = server.transport.request("POST", f"/{server.indices.products}/_search", request, params=params).body["hits"]["hits"]
        found += [document(hit, spaces) for hit in hits]
        if len(hits) < size:
            break
        after = found[-1].id
    return found


def document(stored: Mapping[str, Any], spaces: Spaces) -> Document:
    """A product as read without its vectors."""
    held = stored["_source"]
    return Document(held["id"], body(held), ledger_entries(read_ledger(held), spaces), int(stored["_seq_no"]) + 1, stored["_index"])


def _runs_of_unique_ids(writes: Sequence[ProductWrite]) -> Iterator[list[ProductWrite]]:
    """Cut where an id comes again, so that the later write of a batch sees the earlier one."""
    run: dict[str, ProductWrite] = {}
    for write in writes:
        if write.product.id in run:
            yield list(run.values())
            run = {}
        run[write.product.id] = write
    yield list(run.values())


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], above: Path = ()) -> Change:
    """The change from one object to the other, key by key; values are replaced whole."""
    put = {(*above, key): value for key, value in new.items() if key not in old or old[key] != value}
    return Change(put, [(*above, key) for key in old if key not in new])


def _put_run(server: Server, run: list[ProductWrite], listed: SpaceList, priority: Priority, now: float) -> list[WriteResult]:
    new = {write.product.id: (source(write.product), write.parts) for write in run}
    dropped = set(listed.used) - listed.fields.keys()

    def decide(id_: str, stored: Mapping[str, Any] | None) -> Change | None:
        fresh, parts = new[id_]
        before = Ledger() if stored is None else read_ledger(stored)
        after = without(content_put(before, parts, listed.fields, priority=priority, now=now), dropped)
        if stored is None:
            return Change(create={**fresh, OWN: {**fresh[OWN], **stored_ledger(after)}})
        old = {key: value for key, value in stored.items() if key != OWN}
        change = _difference(old, {key: value for key, value in fresh.items() if key != OWN})
        generated = {key: value for key, value in stored.get(OWN, {}).items() if key not in _LEDGER_KEYS}
        change = change.joined(_difference(generated, fresh[OWN], (OWN,))).joined(difference(before, after))
        return change if change.set or change.remove else None

    outcomes = rewrite_in(server, listed.fields, new, decide)
    return [WriteResult(id_, outcomes[id_].result, outcomes[id_].error) for id_ in new]
