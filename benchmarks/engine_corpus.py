"""A synthetic catalogue for the engine's benchmarks: words by Zipf's law, clustered unit vectors, prices and brands; seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hybrid_search.engines.base import ProductWrite
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix, Space, VectorWrite

VOCABULARY = 30_000
SPACES = (
    Space("text", 1, 512, "text", "text-model", {"text": "text-model"}),
    Space("image", 1, 1_280, "image", "image-model", {"image": "image-model"}),
    Space("cross", 1, 512, "image", "cross-model", {"text": "text-model"}),
)
CLUSTERS = 400
SPREAD = 0.8


def words(rng: np.random.Generator, count: int) -> list[str]:
    """Words by Zipf's law: rank r with probability proportional to 1 / (r + 10)."""
    weights = np.cumsum(1 / (np.arange(VOCABULARY) + 10))
    ranks = np.searchsorted(weights / weights[-1], rng.random(count))
    return [f"word{rank:x}q" for rank in ranks.tolist()]


def products(count: int, seed: int = 0) -> Iterator[Product]:
    """``count`` products with titles of 8 words and descriptions of 40."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, 1_000):
        size = min(1_000, count - start)
        text = words(rng, size * 48)
        numbers = rng.random((size, 3))
        for i in range(size):
            own = text[i * 48 : i * 48 + 48]
            yield Product(
                id=f"p{start + i:07}",
                title=" ".join(own[:8]),
                description=" ".join(own[8:]),
                category=("Top", f"Branch {int(numbers[i, 0] * 20)}", f"Leaf {int(numbers[i, 1] * 200)}"),
                brand=f"Brand {int(numbers[i, 2] ** 2 * 500)}",
                color=("red", "green", "blue", "black", "white")[int(numbers[i, 0] * 5)],
                price=round(float(numbers[i, 1]) * 100, 2),
                rating=round(float(numbers[i, 2]) * 5, 1),
                attributes={"fit": ("slim", "wide")[: 1 + (start + i) % 2], "season": (f"season {(start + i) % 4}",)},
                popularity=float(numbers[i, 0]),
            )


def vectors(count: int, dim: int, seed: int) -> FloatMatrix:
    """``(count, dim)`` unit vectors around random centres."""
    centres = np.random.default_rng(dim).standard_normal((CLUSTERS, dim)).astype(np.float32)
    rng = np.random.default_rng(seed)
    made = centres[rng.integers(0, CLUSTERS, count)] + np.float32(SPREAD) * rng.standard_normal((count, dim), dtype=np.float32)
    unit: FloatMatrix = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def writes(batch: Sequence[Product]) -> list[ProductWrite]:
    """With a text and one picture each."""
    return [ProductWrite(product, {"text": (f"t{product.id}",), "image": (f"i{product.id}",)}) for product in batch]


def vector_writes(batch: Sequence[Product], space: Space, matrix: FloatMatrix) -> list[VectorWrite]:
    prefix = space.part[0]
    return [VectorWrite(p.id, space.key, (f"{prefix}{p.id}",), row[None]) for p, row in zip(batch, matrix, strict=True)]
