"""The embedded engine as one object: the store's functions joined with the search side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import EngineStatus, Failure, ProductWrite
from hybrid_search.engines.embedded import blobs, control, counts, ledger, spaces, store, towers, vectors
from hybrid_search.engines.embedded import failures as failing
from hybrid_search.engines.embedded import requeue as requeueing
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.searching import SearchSide
from hybrid_search.engines.embedded.tables import STORE_STEPS, TOWER_STEPS
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


class EmbeddedEngine:
    """``Engine`` on one folder that any number of processes of one machine may share.

    Args:
        settings_home: the folder; created when missing.
        vector_dtype: precision of the searchable vectors; the store keeps float32.
        max_attempts: tries before a product is ``failed``.
        retry_pause: seconds before the first retry of a product; doubles with each.
        index: whether this process may derive the search structures (one of those that may does, at a time).
        clock: seconds since 1970 for ages, pauses and silences.

    Raises ``EngineUnavailable`` when the folder or a file in it cannot be used.
    """

    name = "embedded"
    uncountable: frozenset[str] = frozenset()

    def __init__(
        self,
        settings_home: Path,
        *,
        vector_dtype: Literal["float16", "float32"] = "float16",
        max_attempts: int = 3,
        retry_pause: float = 2.0,
        index: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Database(settings_home / "store.sqlite", STORE_STEPS)
        self._towers = Database(settings_home / "towers.sqlite", TOWER_STEPS, durable=False)
        self._blobs = settings_home / "blobs"
        self._policy = RetryPolicy(max_attempts, retry_pause)
        self._now = clock
        self._search = SearchSide(settings_home, self._store, vector_dtype=vector_dtype, index=index)

    # Catalog

    def put(self, writes: Sequence[ProductWrite], *, priority: Priority = Priority.LIVE, refresh: bool = False) -> list[WriteResult]:
        results = store.put(self._store, writes, priority=priority, now=self._now())
        if refresh:
            self.refresh()
        return results

    def delete(self, ids: Sequence[str], *, refresh: bool = False) -> list[WriteResult]:
        results = store.delete(self._store, ids)
        if refresh:
            self.refresh()
        return results

    def fetch(self, ids: Sequence[str]) -> list[Document | None]:
        return store.fetch(self._store, ids)

    def scan(self, *, after: str = "", limit: int = 1_000) -> list[Document]:
        return store.scan(self._store, after=after, limit=limit)

    # Vectors

    def spaces(self) -> tuple[Space, ...]:
        return spaces.spaces(self._store)

    def add_space(self, space: Space) -> None:
        spaces.add_space(self._store, space, now=self._now())

    def drop_space(self, key: str) -> None:
        spaces.drop_space(self._store, key)

    def write_vectors(self, writes: Sequence[VectorWrite]) -> list[WriteResult]:
        return vectors.write_vectors(self._store, writes, now=self._now())

    def read_vectors(self, space: str, ids: Sequence[str]) -> list[FloatMatrix | None]:
        return vectors.read_vectors(self._store, space, ids)

    def save_tower_outputs(self, model: str, outputs: Mapping[str, FloatVector]) -> None:
        towers.save_tower_outputs(self._towers, model, outputs)

    def tower_outputs(self, model: str, hashes: Sequence[str]) -> dict[str, FloatVector]:
        return towers.tower_outputs(self._towers, model, hashes)

    # Ledger

    def open_chunks(self, *, at_most: int, size: int, backfill: int | None = None) -> list[Chunk]:
        return ledger.open_chunks(self._store, at_most=at_most, size=size, now=self._now(), backfill=backfill)

    def start_chunk(self, chunk_id: str) -> Chunk | None:
        return ledger.start_chunk(self._store, chunk_id, now=self._now())

    def beat_chunk(self, chunk_id: str) -> bool:
        return ledger.beat_chunk(self._store, chunk_id, now=self._now())

    def finish_chunk(self, chunk_id: str) -> None:
        ledger.finish_chunk(self._store, chunk_id)

    def give_up_chunks(self, *, silent_for: float) -> int:
        return ledger.give_up_chunks(self._store, silent_for=silent_for, max_attempts=self._policy.max_attempts, now=self._now())

    def stale_chunks(self, *, queued_for: float) -> list[Chunk]:
        return ledger.stale_chunks(self._store, queued_for=queued_for, now=self._now())

    def write_failures(self, failures: Sequence[FailureWrite]) -> None:
        failing.write_failures(self._store, failures, self._policy, now=self._now())

    def failures(self, *, limit: int = 100, after: tuple[str, str] = ("", "")) -> list[Failure]:
        return failing.failures(self._store, limit=limit, after=after)

    def retry_failures(self, ids: Sequence[str] | None = None) -> int:
        return failing.retry_failures(self._store, ids, now=self._now())

    def requeue(self, requests: Sequence[Requeue]) -> int:
        return requeueing.requeue(self._store, requests, now=self._now())

    # Control

    def read_control(self) -> tuple[int, Mapping[str, Any]]:
        return control.read_control(self._store)

    def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int:
        return control.write_control(self._store, body, expected_version=expected_version)

    # Blobs

    def write_blob(self, name: str, content: bytes) -> None:
        blobs.write_blob(self._blobs, name, content)

    def read_blob(self, name: str) -> bytes | None:
        return blobs.read_blob(self._blobs, name)

    # the whole

    def search(self, plan: SearchPlan) -> EngineReply:
        return self._search.search(plan)

    def refresh(self, timeout: float = 30.0) -> int:
        return self._search.refresh(timeout)

    def status(self) -> EngineStatus:
        found = counts.read_counts(self._store, now=self._now())
        return EngineStatus(
            name=self.name,
            products=found.products,
            states=found.states,
            queue=found.queue,
            seq=found.seq,
            indexed_seq=self._search.indexed_seq(),
            details={"folder": str(self._store.path.parent), "store_bytes": self._store.path.stat().st_size},
        )

    def close(self) -> None:
        self._search.close()
        self._store.close()
        self._towers.close()
