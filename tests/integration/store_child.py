"""A process that keeps changing a store, for tests that kill it: ``python -m tests.integration.store_child FOLDER FIRST``.

It prints each change once it is acknowledged: ``put ID VERSION``, ``gone ID`` or ``ready ID VERSION``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix, Space, VectorWrite

SPACES = (Space("text", 1, 8, "text", "words"), Space("image", 1, 8, "image", "pictures"))
PRODUCTS = 60
PER_WRITE = 7


def version_of(id_: str, version: int) -> ProductWrite:
    """A product of which every part says its version."""
    words = f"version {version}"
    return ProductWrite(
        Product(id=id_, title=words, description=words * 50, price=version), {"text": (f"t{version}",), "image": (f"i{version}",)}
    )


def vectors_of(version: int) -> FloatMatrix:
    return np.full((1, 8), version, dtype=np.float32)


def change(engine: EmbeddedEngine, version: int) -> None:
    """One round of what a shop and its workers do."""
    ids = [f"p{(version * PER_WRITE + i) % PRODUCTS:02}" for i in range(PER_WRITE)]
    engine.put([version_of(id_, version) for id_ in ids])
    print(*(f"put {id_} {version}" for id_ in ids), sep="\n", flush=True)
    for chunk in engine.open_chunks(at_most=3, size=5):
        engine.start_chunk(chunk.id)
        found = [document for document in engine.fetch(chunk.product_ids) if document]
        entries = [(d.id, e) for d in found for e in d.ledger.values()]
        engine.write_vectors([VectorWrite(id_, e.space, e.parts, vectors_of(int(e.parts[0][1:]))) for id_, e in entries])
        print(*(f"ready {id_} {e.parts[0][1:]}" for id_, e in entries), sep="\n", flush=True)
        engine.finish_chunk(chunk.id)
    if version % 5 == 0:
        engine.delete(ids[:1])
        print(f"gone {ids[0]}", flush=True)


def main(folder: Path, version: int) -> None:
    engine = EmbeddedEngine(folder, index=False)
    for space in SPACES:
        engine.add_space(space)
    while True:
        change(engine, version)
        version += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
