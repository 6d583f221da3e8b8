"""A catalogue's rows into the engine: products in batches, rejects aside, counts and progress on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from hybrid_search.catalog.rows import Accepted, CatalogSummary, Reject
from hybrid_search.engines.base import Catalog, ProductWrite
from hybrid_search.indexing.parts import ImageHashes, part_hashes
from hybrid_search.types import Priority

BATCH = 200
"""Products per write: one transaction of some tens of milliseconds, so that a shop's own writes are never kept waiting."""


class RejectSink(Protocol):
    """Where rejected rows go."""

    def write(self, reject: Reject) -> None: ...


@dataclass(slots=True)
class IngestSummary(CatalogSummary):
    """Counts of the rows, and what became of the accepted ones. ``errors`` are products that the engine refused, as ``(id, reason)``."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def ingest(
    engine: Catalog,
    rows: Iterable[Accepted | Reject],
    intake: ImageHashes,
    *,
    rejects: RejectSink | None = None,
    priority: Priority = Priority.BACKFILL,
    batch: int = BATCH,
    on_progress: Callable[[IngestSummary], None] | None = None,
) -> IngestSummary:
    """Put every accepted row into the engine; products are found by words as soon as their batch is acknowledged.

    Unchanged products cost a comparison and are not embedded again. ``on_progress`` is called after each batch.

    Raises:
        CatalogError: as ``rows`` does; what was acknowledged before stays.
        EngineUnavailable: a batch could not be written.
    """
    started = time.monotonic()
    summary = IngestSummary()
    for products in _batches(summary.watch(rows), rejects, batch):
        for result in engine.put([ProductWrite(p.product, part_hashes(p.product, intake)) for p in products], priority=priority):
            if result.result == "created":
                summary.created += 1
            elif result.result == "updated":
                summary.updated += 1
            elif result.result == "noop":
                summary.unchanged += 1
            else:
                summary.errors.append((result.id, result.error or result.result))
        summary.seconds = time.monotonic() - started
        if on_progress:
            on_progress(summary)
    summary.seconds = time.monotonic() - started
    return summary


def _batches(rows: Iterable[Accepted | Reject], rejects: RejectSink | None, size: int) -> Iterator[list[Accepted]]:
    batch: list[Accepted] = []
    for row in rows:
        if isinstance(row, Accepted):
            batch.append(row)
        elif rejects is not None:
            rejects.write(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
