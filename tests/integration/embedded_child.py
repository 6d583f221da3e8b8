"""A process on an embedded engine's folder, for tests that kill it: ``python -m tests.integration.embedded_child ROLE FOLDER``.

``writer`` stores generation after generation of the same products and prints each once it is acknowledged; ``indexer`` only indexes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import FloatVector, Space, VectorWrite

SPACE = Space("text", 1, 16, "text", "model", {"text": "model"})
PRODUCTS = 40


def version_of(number: int, version: int) -> Product:
    """A product of which every part says its version."""
    title = f"thing{number} version{version} " + "filler " * (version % 5)
    return Product(id=f"p{number:03}", title=title, brand=f"version{version}", price=float(version), attributes={"v": f"version{version}"})


def vector_of(number: int, version: int) -> FloatVector:
    vector = np.random.default_rng([number, version]).standard_normal(SPACE.dim).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def write_version(engine: EmbeddedEngine, version: int) -> None:
    """All products at this version, words first, then vectors, in two acknowledged writes."""
    engine.put([ProductWrite(version_of(n, version), {"text": (f"v{version}",)}) for n in range(PRODUCTS)])
    engine.write_vectors([VectorWrite(f"p{n:03}", SPACE.key, (f"v{version}",), vector_of(n, version)[None]) for n in range(PRODUCTS)])


def main(role: str, folder: Path, first: int) -> None:
    with_lock = role == "indexer"
    engine = EmbeddedEngine(folder, index=with_lock)
    print("up", flush=True)
    version = first
    while role == "writer":
        write_version(engine, version)
        print(version, flush=True)
        version += 1
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
