"""Constants of the planner, for OpenSearch 3.5 with the mappings of this repository; each says its unit and whether it was measured.

``benchmarks/capacity.py`` measured those that say so (docs/planning.md has the run); the others are assumptions on the careful side. A shop
that has measured its own gives them to ``plan`` instead.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hybrid_search.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Constants:
    """Per unit costs. Bytes are on disk of one copy after a force-merge unless a name says otherwise."""

    document_bytes: float = 1_550.0
    """Bytes of a product without vectors: source, words, columns (120 words). Measured."""
    vector_bytes_per_dim: float = 13.4
    """Bytes per vector and dimension: float32 for search and its JSON text in the source. Measured."""
    graph_bytes: float = 150.0
    """Bytes of the neighbour graph per vector (hnsw, m = 16). Assumed."""
    search_bytes_per_dim: float = 4.0
    """Bytes per vector and dimension that a search touches, and that must therefore stay in the page cache: a float32."""
    heap_base_bytes: float = 300e6
    """Java heap of a node without documents. Assumed."""
    heap_bytes_per_product: float = 100.0
    """Java heap per product and copy. Assumed."""
    search_base_ms: float = 43.0
    """CPU milliseconds of a search per shard whatever its size: four legs, two facets, a total. Measured at 2,000 and 4,000 products."""
    search_ms_per_million: float = 900.0
    """CPU milliseconds of a search per million products, all legs, by the graph. Measured between 2,000 and 16,000 products; a line beyond."""
    words_per_core_second: float = 15.0
    """Product texts embedded per second and core by the default text encoder. From the encoder's benchmark."""
    images_per_core_second: float = 25.0
    """Pictures embedded per second and core by the default image encoder, decoding included. From the encoder's benchmark."""
    index_per_core_second: float = 60.0
    """Products with three vectors indexed per second and core of a node, the product's own way: first the words, then each vector. Measured."""

    def replaced(self, given: dict[str, Any]) -> Constants:
        """With a shop's own measurements. Raises ``SettingsError`` for an unknown name or a value that is no positive number."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in given.items():
            if name not in known:
                raise SettingsError(f"Unknown constant {name!r}.", field=name, value=value, remedy=f"Known: {', '.join(known)}.")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise SettingsError(
                    f"{name} = {value!r} is no positive number.",
                    field=name,
                    value=value,
                    remedy="Give what benchmarks/capacity.py printed.",
                )
        return Constants(**{**known, **{name: float(value) for name, value in given.items()}})
