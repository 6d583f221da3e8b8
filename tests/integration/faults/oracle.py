"""Who knows what must be in the index: every accepted product with its newest version, every accepted deletion.

Each version has words of its own (``thing 17 v3``) and the tiny encoder gives all words their own direction, so that a stored vector
tells which version it was made from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_search.engines.base import Engine, ProductWrite, scan_all
from hybrid_search.errors import EngineError
from hybrid_search.indexing.parts import text_hash
from hybrid_search.product import Product
from hybrid_search.types import Priority, State
from tests.indexing_parts import direction

SPACE = "text_1"
BATCH = 500


@dataclass(frozen=True)
class Verdict:
    """The index against what was accepted.

    ``lost``: accepted and not there, or there and neither embedded nor failed. ``stale``: words or vector of another version than the
    newest, a deleted product that is there, one that nobody put. ``failed``: ids in the list of failures.
    """

    products: int
    ready: int
    failed: tuple[str, ...]
    lost: tuple[str, ...]
    stale: tuple[str, ...]


@dataclass
class Oracle:
    """``engine`` is where products are put; a write that it refuses is repeated until it is accepted, and counted in ``refused``."""

    engine: Engine
    titles: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    refused: int = 0
    versions: int = 0

    def put(self, titles: Iterable[tuple[str, str]], *, priority: Priority = Priority.BACKFILL, seconds: float = 120.0) -> None:
        """Put ``(id, title)`` pairs; returns once all are accepted."""
        pairs = list(titles)
        for start in range(0, len(pairs), BATCH):
            waiting = dict(pairs[start : start + BATCH])
            deadline = time.monotonic() + seconds
            while waiting:
                writes = [ProductWrite(Product(id=id_, title=title), {"text": (text_hash(title),)}) for id_, title in waiting.items()]
                try:
                    for result in self.engine.put(writes, priority=priority):
                        if result.result == "error":
                            self.refused += 1
                        else:
                            self._accept(result.id, waiting.pop(result.id))
                except EngineError:
                    self.refused += len(waiting)
                assert not waiting or time.monotonic() < deadline, f"{len(waiting)} products are not accepted"

    def load(self, count: int) -> None:
        """``count`` products, ``p00000`` and so on."""
        self.put((f"p{i:05}", f"thing {i}") for i in range(count))

    def edit(self, ids: Sequence[str]) -> None:
        """A new version of each, as a live change."""
        self.versions += 1
        self.put([(id_, f"{self.titles[id_].split(' v')[0]} v{self.versions}") for id_ in ids], priority=Priority.LIVE)

    def delete(self, ids: Sequence[str]) -> None:
        for result in self.engine.delete(ids):
            assert result.result in ("deleted", "missing"), result
            self.gone.add(result.id)
            self.titles.pop(result.id, None)

    def is_ready(self, id_: str) -> bool:
        """Whether the newest version of a product is embedded."""
        (document,) = self.engine.fetch([id_])
        entry = document.ledger.get(SPACE) if document else None
        return entry is not None and entry.state is State.READY and entry.parts == (text_hash(self.titles[id_]),)

    def verdict(self) -> Verdict:
        """Read the whole index, vectors too, and compare."""
        documents = {document.id: document for document in scan_all(self.engine)}
        lost = set(self.titles) - set(documents)
        stale = set(documents) - set(self.titles)
        failed: set[str] = set()
        ready: list[str] = []
        for id_ in set(documents) & set(self.titles):
            entry = documents[id_].ledger.get(SPACE)
            if documents[id_].body["title"] != self.titles[id_]:
                stale.add(id_)
            elif entry is None or entry.state is State.PENDING:
                lost.add(id_)
            elif entry.state is State.FAILED:
                failed.add(id_)
            else:
                ready.append(id_)
        for start in range(0, len(ready), BATCH):
            ids = ready[start : start + BATCH]
            for id_, vectors in zip(ids, self.engine.read_vectors(SPACE, ids), strict=True):
                if vectors is None:
                    lost.add(id_)
                elif vectors.shape != (1, 8) or not np.allclose(vectors, direction(self.titles[id_]), atol=1e-6):
                    stale.add(id_)
        return Verdict(len(self.titles), len(ready), tuple(sorted(failed)), tuple(sorted(lost)), tuple(sorted(stale)))

    def _accept(self, id_: str, title: str) -> None:
        self.titles[id_] = title
        self.gone.discard(id_)
