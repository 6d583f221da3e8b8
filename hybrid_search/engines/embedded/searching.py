"""The search side of the embedded engine: follows the derived files, keeps them up to date where it may, answers plans."""

from __future__ import annotations

import time
from pathlib import Path

from hybrid_search.engines.embedded.answering import answer
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.indexer import Indexer
from hybrid_search.engines.embedded.reader import Follower, Generation
from hybrid_search.engines.embedded.rows import last_seq, read_spaces
from hybrid_search.engines.embedded.vector_files import VectorDtype
from hybrid_search.errors import EngineUnavailable
from hybrid_search.types import EngineReply, SearchPlan, VectorLeg

FIRST_WAIT = 30.0
"""Seconds that a search waits for the first generation of a process at most."""


class SearchSide:
    """``search`` and ``refresh`` of the engine.

    Args:
        home: the engine's folder; everything of this class is in ``home/derived`` and may be deleted at any time.
        store: the truth.
        vector_dtype: precision of the matrices; another than they have rebuilds them.
        index: whether this process offers itself as the indexer.
    """

    def __init__(self, home: Path, store: Database, *, vector_dtype: VectorDtype = "float16", index: bool = True) -> None:
        self._store = store
        self._folder = home / "derived"
        self._follower = Follower(self._folder, self._store_name)
        self._indexer = Indexer(home, self._folder, store, vector_dtype) if index else None
        if self._indexer is not None:
            self._indexer.start()

    def search(self, plan: SearchPlan) -> EngineReply:
        """``Engine.search``."""
        generation = self._generation(plan.timeout)
        dims = {key: matrix.files.dim for key, matrix in generation.matrices.items()}
        if any(isinstance(leg, VectorLeg) and leg.space not in dims for leg in plan.legs):
            dims |= self._newest_dims()
        return answer(generation, plan, dims)

    def refresh(self, timeout: float = 30.0) -> int:
        """``Engine.refresh``."""
        with self._store.read() as connection:
            seq = last_seq(connection)
        if not self._follower.wait_for(seq, timeout):
            raise self._late(f"Change {seq} was not searchable within {timeout:g} s.")
        return seq

    def indexed_seq(self) -> int:
        """The last change that this process finds, 0 before the first generation."""
        self._follower.start()
        current = self._follower.current
        return current.seq if current is not None else 0

    def close(self) -> None:
        """End the threads and give the lock back; safe to call twice."""
        if self._indexer is not None:
            self._indexer.close()
        self._follower.close()

    def _generation(self, timeout: float | None) -> Generation:
        current = self._follower.current
        if current is None:
            until = time.monotonic() + (FIRST_WAIT if timeout is None else min(timeout, FIRST_WAIT))
            self._follower.wait_for(0, until - time.monotonic())
            current = self._follower.current
        if current is None:
            raise self._late("The search index is not built yet.")
        return current

    def _newest_dims(self) -> dict[str, int]:
        """Of spaces made so lately that no generation knows them yet, too."""
        with self._store.read() as connection:
            return {space.key: space.dim for space in read_spaces(connection)}

    def _late(self, message: str) -> EngineUnavailable:
        reason = self._indexer.error if self._indexer is not None else None
        return EngineUnavailable(
            f"{message} {reason}" if reason else message,
            field="home",
            value=str(self._folder.parent),
            remedy="Try again; see that a process with this home that may index is running and that the disk is not full.",
        )

    def _store_name(self) -> str:
        with self._store.read() as connection:
            return str(connection.execute("SELECT store FROM sequence").fetchone()[0])
