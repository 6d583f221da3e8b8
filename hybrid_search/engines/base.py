"""What an engine does. One small protocol, one contract suite (``tests/contracts/``), several engines.

Every write is acknowledged only when it survives the death of any process. Writes are idempotent: the id is the product's, vectors
are conditional on content hashes. An engine object may be shared by the threads of a process, never across a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hybrid_search.product import Product
from hybrid_search.types import (
    Chunk,
    Document,
    EngineReply,
    FailureWrite,
    FloatMatrix,
    FloatVector,
    LedgerEntry,
    Part,
    Priority,
    Requeue,
    SearchPlan,
    Space,
    State,
    VectorWrite,
    WriteResult,
)


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """A product with the content hashes of its parts: ``{"text": (h,)}``, ``{"image": (h1, h2)}``; a part it does not have is left out."""

    product: Product
    parts: Mapping[Part, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Failure:
    """One line of the list of failed products."""

    product_id: str
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Chunks by where they are, and the ages in seconds of the oldest queued one and of the stalest running one (0 when none)."""

    queued: int = 0
    running: int = 0
    oldest_queued: float = 0.0
    stalest_running: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Counts for people and monitors. ``states`` is by space key; ``seq`` is the last acknowledged change, ``indexed_seq`` the last searchable one."""

    name: str
    products: int
    states: Mapping[str, Mapping[State, int]]
    queue: QueueCounts
    seq: int
    indexed_seq: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Catalog(Protocol):
    """Products in and out."""

    def put(self, writes: Sequence[ProductWrite], *, priority: Priority = Priority.LIVE, refresh: bool = False) -> list[WriteResult]:
        """Create or replace products, one result per item in order; equal products are a ``noop``.

        Parts whose hashes changed become ``pending`` in every space made from them, with attempts back at 0; parts that are gone lose
        their vectors and ledger entries. ``refresh`` returns only when the write is searchable. Raises ``EngineUnavailable``.
        """
        ...

    def delete(self, ids: Sequence[str], *, refresh: bool = False) -> list[WriteResult]:
        """Remove products, their ledger entries and vectors; unknown ids give ``missing``."""
        ...

    def fetch(self, ids: Sequence[str]) -> list[Document | None]:
        """Stored products in the order of ``ids``, ``None`` where there is none; reads acknowledged writes at once."""
        ...

    def scan(self, *, after: str = "", limit: int = 1_000) -> list[Document]:
        """Up to ``limit`` products with ids greater than ``after``, in id order: loop with the last id to read everything."""
        ...


class Vectors(Protocol):
    """Spaces, vectors and the outputs of towers."""

    def spaces(self) -> tuple[Space, ...]:
        """All spaces that exist, in order of creation."""
        ...

    def add_space(self, space: Space) -> None:
        """Create a space; every product that has its part becomes ``pending`` in it. An equal existing space is left alone; raises ``ConflictError`` if it differs."""
        ...

    def drop_space(self, key: str) -> None:
        """Remove a space with its vectors and ledger entries. Raises ``NotFoundError``."""
        ...

    def write_vectors(self, writes: Sequence[VectorWrite]) -> list[WriteResult]:
        """Store vectors and set ``ready``; ``noop`` where the hashes moved on (a later task will do it), ``missing`` where the product is gone.

        Raises ``ConflictError`` where a vector's dimension is not the space's.
        """
        ...

    def read_vectors(self, space: str, ids: Sequence[str]) -> list[FloatMatrix | None]:
        """Per product its ``(m, dim)`` float32 vectors in this space, ``None`` where it has none."""
        ...

    def save_tower_outputs(self, model: str, outputs: Mapping[str, FloatVector]) -> None:
        """Keep what a tower computed, by content hash."""
        ...

    def tower_outputs(self, model: str, hashes: Sequence[str]) -> dict[str, FloatVector]:
        """Those of ``hashes`` that are kept for ``model``."""
        ...


class Ledger(Protocol):
    """Embedding states and the chunks that are under way. The broker only carries hints; this is what is true."""

    def open_chunks(self, *, at_most: int, size: int, backfill: int | None = None) -> list[Chunk]:
        """Group pending products that are in no chunk yet into new ``queued`` chunks, until ``at_most`` chunks are open.

        ``backfill`` is how many products of a backfill this call may chunk at most; live ones are never held back.

        Live ones come before backfill, products that were in a chunk that died come alone. Only the returned chunks are to be sent.
        Two processes that call this at once never put one product into two chunks.
        """
        ...

    def start_chunk(self, chunk_id: str) -> Chunk | None:
        """Take a queued chunk: it is ``running`` from now, and a chunk of one product counts an attempt. ``None`` if it is not queued (any more)."""
        ...

    def beat_chunk(self, chunk_id: str) -> bool:
        """Say that a running chunk is alive. False when it was given up on meanwhile: stop working on it."""
        ...

    def finish_chunk(self, chunk_id: str) -> None:
        """Close a chunk; what is still pending of it may be chunked again."""
        ...

    def give_up_chunks(self, *, silent_for: float) -> int:
        """Close running chunks without a beat for ``silent_for`` seconds; returns how many.

        Their unfinished products will come alone; those that have used up ``max_attempts`` alone become ``failed`` (``worker_died``).
        """
        ...

    def stale_chunks(self, *, queued_for: float) -> list[Chunk]:
        """Chunks queued for longer than this many seconds, whose message may be lost: to be sent again (their age starts anew)."""
        ...

    def write_failures(self, failures: Sequence[FailureWrite]) -> None:
        """Count a failed try; ``failed`` when it is final or the ``max_attempts``-th, otherwise pending again, alone, after a pause that doubles.

        A postponed one counts nothing: pending again after its own pause, alone only if it was before.
        """
        ...

    def failures(self, *, limit: int = 100, after: tuple[str, str] = ("", "")) -> list[Failure]:
        """Failed (product, space) pairs in order of id and space key."""
        ...

    def retry_failures(self, ids: Sequence[str] | None = None) -> int:
        """Make failed entries pending again with attempts at 0 (all of them without ``ids``); returns how many."""
        ...

    def requeue(self, requests: Sequence[Requeue]) -> int:
        """Mend ledgers: what becomes pending does so as a backfill with attempts at 0, its vectors stay until new ones are written.

        A product that was written since, or is gone, is left alone. Returns how many products were changed.
        """
        ...


class Control(Protocol):
    """The one versioned document that may change while everything runs."""

    def read_control(self) -> tuple[int, Mapping[str, Any]]:
        """Version (0 before the first write) and body."""
        ...

    def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int:
        """Replace the body; returns the new version. Raises ``ConflictError`` when somebody else wrote meanwhile."""
        ...


class Blobs(Protocol):
    """Small files that every process of a shop needs, wherever it runs: fitted maps."""

    def write_blob(self, name: str, content: bytes) -> None:
        """Keep ``content`` (up to some 50 MB) under ``name``, replacing what was there, whole or not at all."""
        ...

    def read_blob(self, name: str) -> bytes | None:
        """What was kept last, ``None`` for an unknown name."""
        ...


class Engine(Catalog, Vectors, Ledger, Control, Blobs, Protocol):
    """Everything above, and search."""

    name: str
    uncountable: frozenset[str]
    """Fields with names of their own that this engine's index cannot filter or count; a search that asks for one raises ``QueryError``."""

    def search(self, plan: SearchPlan) -> EngineReply:
        """Answer all legs, counts and facets of ``plan`` from one state of the index.

        Raises ``QueryError`` for unknown fields or spaces, ``EngineUnavailable`` when nothing can be answered.
        """
        ...

    def refresh(self, timeout: float = 30.0) -> int:
        """Wait until every write acknowledged so far is searchable; returns that sequence number. Raises ``EngineUnavailable`` on time-out."""
        ...

    def status(self) -> EngineStatus:
        """Counts, cheap enough to call every second."""
        ...

    def close(self) -> None:
        """Stop background threads and give locks back; safe to call twice."""
        ...


def scan_all(catalog: Catalog, page: int = 1_000) -> Iterator[Document]:
    """Every product, in id order."""
    after = ""
    while documents := catalog.scan(after=after, limit=page):
        yield from documents
        after = documents[-1].id
