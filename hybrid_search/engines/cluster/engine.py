"""The engine on a search server as one object: the functions of this folder joined."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import EngineStatus, Failure, ProductWrite
from hybrid_search.engines.cluster import blobs, catalog, chunks, control, dropping, spaces, towers, vectors
from hybrid_search.engines.cluster import failures as failing
from hybrid_search.engines.cluster import requeue as requeueing
from hybrid_search.engines.cluster.chunk_opening import open_chunks
from hybrid_search.engines.cluster.counts import read_counts
from hybrid_search.engines.cluster.entries import Spaces
from hybrid_search.engines.cluster.legs import Searchable
from hybrid_search.engines.cluster.searching import answer
from hybrid_search.engines.cluster.server import Sequenced, Server
from hybrid_search.errors import EngineUnavailable
from hybrid_search.types import (
    Chunk,
    Document,
    EngineReply,
    FailureWrite,
    FloatMatrix,
    FloatVector,
    Priority,
    Requeue,
    SearchPlan,
    Space,
    VectorWrite,
    WriteResult,
)
from hybrid_search.waiting import at_most, left, rereading, turn

KNOWN_FOR = 1.0
"""Seconds for which searches go by the same list of spaces and numbers of products and shards."""


class ClusterEngine:
    """``Engine`` on OpenSearch or Elasticsearch; made by ``open_opensearch`` and ``open_elasticsearch``.

    Args:
        server: what it talks to; closed with the engine.
        max_attempts: tries before a product is ``failed``.
        retry_pause: seconds before the first retry of a product; doubles with each.
        knn_exact_up_to: products up to which all vectors are compared.
        clock: seconds since 1970 for ages, pauses and silences; those of several machines must agree.
    """

    def __init__(
        self,
        server: Server,
        *,
        max_attempts: int = 3,
        retry_pause: float = 2.0,
        knn_exact_up_to: int = 20_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name: str = server.dialect.product
        self.uncountable: frozenset[str] = frozenset()
        self.server = server
        self._policy = RetryPolicy(max_attempts, retry_pause)
        self._exact_up_to = knn_exact_up_to
        self._now = clock
        self._seen = Sequenced("", 0)
        self._known: tuple[float, Searchable] | None = None
        self._learning = threading.Lock()

    # Catalog

    def put(self, writes: Sequence[ProductWrite], *, priority: Priority = Priority.LIVE, refresh: bool = False) -> list[WriteResult]:
        results = catalog.put(self.server, writes, priority=priority, now=self._now())
        if refresh:
            self.refresh()
        return results

    def delete(self, ids: Sequence[str], *, refresh: bool = False) -> list[WriteResult]:
        results = catalog.delete(self.server, ids)
        if refresh:
            self.refresh()
        return results

    def fetch(self, ids: Sequence[str]) -> list[Document | None]:
        return catalog.fetch(self.server, ids, self._fields)

    def scan(self, *, after: str = "", limit: int = 1_000) -> list[Document]:
        return catalog.scan(self.server, after=after, limit=limit)

    # Vectors

    def spaces(self) -> tuple[Space, ...]:
        return tuple(spaces.read_spaces(self.server).fields.values())

    def add_space(self, space: Space) -> None:
        spaces.add_space(self.server, space)
        self._known = None

    def drop_space(self, key: str) -> None:
        dropping.drop_space(self.server, key)
        self._known = None

    def write_vectors(self, writes: Sequence[VectorWrite]) -> list[WriteResult]:
        return vectors.write_vectors(self.server, writes, now=self._now())

    def read_vectors(self, space: str, ids: Sequence[str]) -> list[FloatMatrix | None]:
        return vectors.read_vectors(self.server, self._fields(), space, ids)

    def save_tower_outputs(self, model: str, outputs: Mapping[str, FloatVector]) -> None:
        towers.save_tower_outputs(self.server, model, outputs)

    def tower_outputs(self, model: str, hashes: Sequence[str]) -> dict[str, FloatVector]:
        return towers.tower_outputs(self.server, model, hashes)

    # Ledger

    def open_chunks(self, *, at_most: int, size: int, backfill: int | None = None) -> list[Chunk]:
        return open_chunks(self.server, at_most=at_most, size=size, now=self._now(), backfill=backfill)

    def start_chunk(self, chunk_id: str) -> Chunk | None:
        return chunks.start_chunk(self.server, chunk_id, now=self._now())

    def beat_chunk(self, chunk_id: str) -> bool:
        return chunks.beat_chunk(self.server, chunk_id, now=self._now())

    def finish_chunk(self, chunk_id: str) -> None:
        chunks.finish_chunk(self.server, chunk_id, now=self._now())

    def give_up_chunks(self, *, silent_for: float) -> int:
        return chunks.give_up_chunks(self.server, silent_for=silent_for, max_attempts=self._policy.max_attempts, now=self._now())

    def stale_chunks(self, *, queued_for: float) -> list[Chunk]:
        return chunks.stale_chunks(self.server, queued_for=queued_for, now=self._now())

    def write_failures(self, failures: Sequence[FailureWrite]) -> None:
        failing.write_failures(self.server, failures, self._policy, now=self._now())

    def failures(self, *, limit: int = 100, after: tuple[str, str] = ("", "")) -> list[Failure]:
        return failing.failures(self.server, limit=limit, after=after)

    def retry_failures(self, ids: Sequence[str] | None = None) -> int:
        return failing.retry_failures(self.server, ids, now=self._now())

    def requeue(self, requests: Sequence[Requeue]) -> int:
        return requeueing.requeue(self.server, requests, now=self._now())

    # Control

    def read_control(self) -> tuple[int, Mapping[str, Any]]:
        return control.read_control(self.server)

    def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int:
        return control.write_control(self.server, body, expected_version=expected_version)

    # Blobs

    def write_blob(self, name: str, content: bytes) -> None:
        blobs.write_blob(self.server, name, content)

    def read_blob(self, name: str) -> bytes | None:
        return blobs.read_blob(self.server, name)

    # the whole

    def search(self, plan: SearchPlan) -> EngineReply:
        if plan.timeout is not None and plan.timeout <= 0:
            late = f"timeout: the search's {plan.timeout:g} s had passed"
            return EngineReply({}, 0, "eq", (), None, self._seen.number, {leg.name: late for leg in plan.legs})
        started = time.monotonic()
        with at_most(plan.timeout):
            searchable = self._searchable()
        if plan.timeout is not None:
            plan = replace(plan, timeout=max(plan.timeout - (time.monotonic() - started), 0.001))
        return answer(self.server.transport, self.server.dialect, searchable, plan, self._seen.number)

    def refresh(self, timeout: float = 30.0) -> int:
        written = self.server.sequence()
        self.server.refresh(timeout=timeout)
        if self._seen.index != written.index or self._seen.number < written.number:
            self._seen = written
        if (known := self._known) is not None:
            self._known = (-math.inf, known[1])  # old, but better than nothing for who cannot read it anew
        return written.number

    def status(self) -> EngineStatus:
        written = self.server.sequence()
        held_back = False
        if written != self._seen:
            held_back = not self.server.look()
            if not held_back:
                self._seen = written
        counts = read_counts(self.server, now=self._now())
        return EngineStatus(
            name=self.name,
            products=counts.products,
            states=counts.states,
            queue=counts.queue,
            seq=written.number,
            indexed_seq=self._seen.number if self._seen.index == written.index else 0,
            details={
                "server": self.server.dialect.server,
                "url": self.server.transport.url,
                "index": self.server.indices.products,
                **({"loading": True} if held_back else {}),
            },
        )

    def close(self) -> None:
        self.server.transport.close()

    def _fields(self) -> Spaces:
        """Spaces by field: as they are now, for a request (``waiting``) as searches know them."""
        if left() is None:
            return spaces.read_spaces(self.server).fields
        return {field: space for space, field in self._learn().spaces.values()}

    def _searchable(self) -> Searchable:
        return self._learn()

    def _learn(self) -> Searchable:
        """What searches go by, read where it is too old; what is known stands when it cannot be read, or another thread reads it."""
        if _is_old(known := self._known):
            with turn(self._learning, wait=known is None) as mine:
                known = self._known  # another thread may have read it meanwhile
                if known is None or (mine and _is_old(known)):
                    known = self._known = (time.monotonic(), self._read_searchable(None if known is None else known[1]))
        assert known is not None
        return known[1]

    def _read_searchable(self, known: Searchable | None) -> Searchable:
        try:
            with rereading(known is not None):
                listed = spaces.read_spaces(self.server)
                products = self.server.indices.products
                counted = self.server.transport.request("GET", f"/{products}/_count").body
        except EngineUnavailable:
            if known is None:
                raise
            return known
        by_key = {space.key: (space, field) for field, space in listed.fields.items()}
        return Searchable(products, by_key, int(counted["count"]), int(counted["_shards"]["total"]), self._exact_up_to)


def _is_old(known: tuple[float, Searchable] | None) -> bool:
    return known is None or time.monotonic() - known[0] > KNOWN_FOR
