"""The server as the other modules of this folder see it: a transport, its dialect, our names, and what of our writes is searchable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_search.engines.cluster.dialect import Codec, Dialect
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.problems import problem
from hybrid_search.engines.cluster.transport import ServerError, Transport

MGET = 500
"""Documents per ``_mget``."""
WITHOUT_VECTORS = {"_source_excludes": "hybrid.vec_*"}
"""URL parameters of every read that does not ask for vectors."""
LOADING_LOOK = 30.0
"""Seconds between two refreshes by a process that only looks on, while a first load has turned the server's own off: each of them makes
segments that the load saves."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A change by its number, which says nothing in another index: a reindex begins to count anew."""

    index: str
    number: int


@dataclass(slots=True)
class Server:
    """One installation on one server. Shared by threads."""

    transport: Transport
    dialect: Dialect
    indices: Indices
    codec: Codec = "float"
    _written: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looked: float = field(default_factory=time.monotonic)

    def wrote(self, *indices: str) -> None:
        """Say that something was written; called after the server's acknowledgement."""
        with self._lock:
            self._written.update(indices)

    def see(self, *indices: str, timeout: float | None = None) -> None:
        """Make searchable what this process wrote to ``indices`` since it last did; asks the server only if there is something.

        Searches of a server lag behind its writes by up to a second; one process always sees its own.
        """
        with self._lock:  # held while the server refreshes: another thread must not believe it is done
            dirty = sorted(self._written.intersection(indices))
            if dirty:
                self.transport.request("POST", f"/{','.join(dirty)}/_refresh", timeout=timeout)
                self._written.difference_update(dirty)

    def refresh(self, timeout: float | None = None) -> None:
        """Make searchable what anybody wrote to the products. Raises ``EngineUnavailable`` on time-out."""
        self.transport.request("POST", f"/{self.indices.products}/_refresh", timeout=timeout)

    def look(self) -> bool:
        """``refresh`` for whoever watches the products: during a first load only every ``LOADING_LOOK`` seconds. Whether it was done."""
        if time.monotonic() - self._looked < LOADING_LOOK and self._loading():
            return False
        self.refresh()
        self._looked = time.monotonic()
        return True

    def _loading(self) -> bool:
        """Whether the server refreshes the products by itself no more (``bulk_loading``); ``False`` where it may not be asked."""
        path, name = f"/{self.indices.products}/_settings", "index.refresh_interval"
        reply = self.transport.request("GET", path, params={"flat_settings": "true"}, ignore=(403,))
        return reply.ok and any(one["settings"].get(name) == "-1" for one in reply.body.values())

    def get(self, index: str, id_: str, *, timeout: float | None = None) -> dict[str, Any] | None:
        """One document as the server gives it (``_source``, ``_seq_no``, ``_primary_term``), at once after its write; ``None`` if missing."""
        reply = self.transport.request("GET", f"/{index}/_doc/{id_}", timeout=timeout, ignore=(404,))
        if reply.status == 404:
            if isinstance(reply.body, dict) and reply.body.get("found") is False:
                return None
            self.transport.request("GET", f"/{index}/_doc/{id_}")  # the index itself is missing: raises, and says so
        found: dict[str, Any] = reply.body
        return found

    def mget(self, index: str, ids: Iterable[str], params: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """Documents by id, at once after their writes, without vectors unless ``params`` say otherwise; missing ones are left out."""
        found: dict[str, dict[str, Any]] = {}
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), MGET):
            body = {"ids": wanted[start : start + MGET]}
            reply = self.transport.request("POST", f"/{index}/_mget", body, params=WITHOUT_VECTORS if params is None else params)
            for document in reply.body["docs"]:
                if "error" in document:
                    raise_item(document["error"], f"reading {document['_id']}")
                if document["found"]:
                    found[document["_id"]] = document
        return found

    def sequence(self) -> Sequenced:
        """The last acknowledged change of the products: over all shards, how many changes there were."""
        reply = self.transport.request("GET", f"/{self.indices.products}/_stats/docs", params={"level": "shards"})
        copies: Sequence[dict[str, Any]] = [
            copy
            for index in reply.body["indices"].values()
            for shard in index["shards"].values()
            for copy in shard
            if copy["routing"]["primary"]
        ]
        return Sequenced("".join(sorted(reply.body["indices"])), sum(int(copy["seq_no"]["max_seq_no"]) + 1 for copy in copies))


def raise_item(error: Any, what: str) -> None:
    """Raise ``ServerError`` for an item of a reply that went wrong."""
    found = problem(error)
    raise ServerError(f"The search server failed at {what}: {found.sentence}.", status=500, reason=found.type, remedy=found.remedy)
