"""The products, spaces and clock that the contract suites of engines are written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hybrid_search.engines.base import Engine, ProductWrite
from hybrid_search.product import Product
from hybrid_search.types import Chunk, Document, FailureWrite, FloatMatrix, LedgerEntry, Part, Space, State, VectorWrite

MAX_ATTEMPTS = 3
RETRY_PAUSE = 2.0

TEXT = Space("text", 1, 3, "text", "words-model", {"text": "words-model"})
IMAGE = Space("image", 1, 2, "image", "picture-model", {"image": "picture-model"})
CROSS = Space("cross", 1, 3, "image", "map-model", {"text": "words-model"})


@dataclass
class Clock:
    """Seconds since 1970, moved by hand."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


MakeEngine = Callable[[Clock], Engine]
"""An empty engine with ``MAX_ATTEMPTS`` and ``RETRY_PAUSE`` on this clock."""


def write(
    id_: str, *, title: str = "thing", text: str = "t1", images: tuple[str, ...] = ("i1",), price: float | None = None
) -> ProductWrite:
    """A product whose parts have these content hashes; an empty ``text`` is a product without words to embed."""
    parts: dict[Part, tuple[str, ...]] = {}
    if text:
        parts["text"] = (text,)
    if images:
        parts["image"] = images
    return ProductWrite(Product(id=id_, title=title, price=price), parts)


def rows(count: int, dim: int, value: float = 0.5) -> FloatMatrix:
    """``(count, dim)`` of distinct float32 numbers."""
    return (np.arange(count * dim, dtype=np.float32).reshape(count, dim) + np.float32(value)).astype(np.float32)


def vectors(id_: str, space: Space, parts: tuple[str, ...], *, count: int = 1, value: float = 0.5, error: str | None = None) -> VectorWrite:
    return VectorWrite(id_, space.key, parts, rows(count, space.dim, value), error)


def failure(id_: str, space: Space, parts: tuple[str, ...], *, final: bool = False) -> FailureWrite:
    return FailureWrite(id_, space.key, parts, "timeout: The picture did not arrive.", final)


def document(engine: Engine, id_: str) -> Document:
    found = engine.fetch([id_])[0]
    assert found is not None
    return found


def entry(engine: Engine, id_: str, space: Space) -> LedgerEntry:
    return document(engine, id_).ledger[space.key]


def state(engine: Engine, id_: str, space: Space) -> State:
    return entry(engine, id_, space).state


def open_one(engine: Engine, size: int = 64) -> Chunk:
    """Open and start the only chunk there is to open."""
    (chunk,) = engine.open_chunks(at_most=1_000, size=size)
    started = engine.start_chunk(chunk.id)
    assert started == chunk
    return chunk
