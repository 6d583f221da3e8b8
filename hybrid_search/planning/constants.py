"""Measured constants of the planner. ``benchmarks/capacity.py`` measures them; each says on what, and its unit.

They hold for OpenSearch 3.5 with the mappings of this repository. A shop that has measured its own gives them to ``plan`` instead.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hybrid_search.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Constants:
    """Per unit costs. Bytes are on disk of one copy after a force-merge unless a name says otherwise."""

    document_bytes: float = 1_500.0
    """Bytes of a product without vectors: source, words, columns (1 kB of text)."""
    vector_bytes_per_dim: float = 17.0
    """Bytes per vector and dimension: float32 for search and its JSON text in the source."""
    graph_bytes: float = 150.0
    """Bytes of the neighbour graph per vector (hnsw, m = 16)."""
    search_bytes_per_dim: float = 4.0
    """Bytes per vector and dimension that a search touches, and that must therefore stay in the page cache."""
    heap_base_bytes: float = 300e6
    """Java heap of a node without documents."""
    heap_bytes_per_product: float = 100.0
    """Java heap per product and copy."""
    search_base_ms: float = 4.0
    """CPU milliseconds of a search whatever the number of products: parsing, merging, fetching ids."""
    search_ms_per_million: float = 200.0
    """CPU milliseconds of a search per million products of its shards, over all its legs with the graph."""
    words_per_core_second: float = 15.0
    """Product texts embedded per second and core by the default text encoder."""
    images_per_core_second: float = 25.0
    """Pictures embedded per second and core by the default image encoder, decoding included."""
    index_per_core_second: float = 400.0
    """Products with vectors indexed per second and core of a node."""

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
