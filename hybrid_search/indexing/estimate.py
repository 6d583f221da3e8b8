"""What a new space will cost before anything is made: vectors × dimensions × bytes, and the graph that servers build beside them.

Sources: ``docs/embedded-engine.md`` (3 bytes per dimension in float16 with its code, 4 in float32; the store keeps 4 more on disk) and
Lucene's HNSW with m = 16: 32 neighbours of 4 bytes on the lowest layer, some 150 bytes per vector with the upper ones. On servers each
vector is also JSON text in the stored source, some 13 bytes per dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hybrid_search.engines.base import Engine
from hybrid_search.types import Part, State

GRAPH_BYTES = 150.0
SOURCE_BYTES_PER_DIM = 13.0
SEARCHED_BYTES_PER_DIM = {"float16": 3.0, "float32": 4.0}
STORED_BYTES_PER_DIM = 4.0
SAMPLE = 1_000
"""Products looked at for the number of pictures per product."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the vectors will be kept: the settings ``engine``, ``vector_dtype`` (embedded) and ``server_replicas`` (servers)."""

    engine: Literal["embedded", "opensearch", "elasticsearch"]
    vector_dtype: Literal["float16", "float32"] = "float16"
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes over all copies. ``ram`` is what searches touch (mapped pages or page cache), ``disk`` everything that is kept."""

    products: int
    vectors: int
    dim: int
    ram: int
    disk: int


def size_of(vectors: int, dim: int, storage: Storage) -> tuple[int, int]:
    """Bytes of memory and of disk for this many vectors."""
    if storage.engine == "embedded":
        searched = vectors * dim * SEARCHED_BYTES_PER_DIM[storage.vector_dtype]
        return round(searched), round(searched + vectors * dim * STORED_BYTES_PER_DIM)
    copies = 1 + storage.replicas
    searched = copies * vectors * (dim * STORED_BYTES_PER_DIM + GRAPH_BYTES)
    return round(searched), round(searched + copies * vectors * dim * SOURCE_BYTES_PER_DIM)


def estimate(engine: Engine, part: Part, dim: int, storage: Storage) -> Estimate:
    """For a new space of ``part``: products that have it as the ledger counts them, pictures per product from a sample."""
    products = products_with(engine, part)
    vectors = round(products * _per_product(engine, part))
    ram, disk = size_of(vectors, dim, storage)
    return Estimate(products, vectors, dim, ram, disk)


def products_with(engine: Engine, part: Part) -> int:
    """Products that have ``part``; where no space of it exists yet, all of them."""
    status = engine.status()
    counted = [sum(status.states.get(space.key, {}).get(state, 0) for state in State) for space in engine.spaces() if space.part == part]
    return max(counted) if counted else status.products


def _per_product(engine: Engine, part: Part) -> float:
    if part == "text":
        return 1.0
    pictures = [len(images) for document in engine.scan(limit=SAMPLE) if (images := document.body.get("images"))]
    return sum(pictures) / len(pictures) if pictures else 1.0
