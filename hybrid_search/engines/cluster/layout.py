"""What a product looks like on a server: names of indices and fields. ``docs/server-engines.md`` shows it with an example.

A product's own fields stand at the top, as ``Product.body()`` gives them. Everything the project adds stands under ``hybrid``, so
that an index of somebody else's can carry it too (``attach``): what was generated for search, the ledger, the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_search.types import Part

OWN = "hybrid"
"""The object that holds what the project adds to a product."""


@dataclass(frozen=True, slots=True)
class Indices:
    """Names of one installation's indices; all are aliases or patterns under ``prefix``."""

    prefix: str

    @property
    def products(self) -> str:
        """Alias of the products' index: read and written through it, ``<prefix>-products-000001`` and on behind it."""
        return f"{self.prefix}-products"

    @property
    def chunks(self) -> str:
        """Open chunks (one document each) and claims (one per product that is in one)."""
        return f"{self.prefix}-chunks"

    @property
    def meta(self) -> str:
        """Two documents: ``spaces`` and ``control``."""
        return f"{self.prefix}-meta"

    @property
    def towers(self) -> str:
        """What towers computed, by model and content hash."""
        return f"{self.prefix}-towers"

    @property
    def aliases(self) -> tuple[str, ...]:
        """All of them, each an alias of one index."""
        return (self.products, self.chunks, self.meta, self.towers)


# under ``hybrid``: generated for search
ATTRIBUTE_VALUES = "hybrid.attribute_values"
"""Text: all attribute values."""
FACTS = "hybrid.facts"
"""Keywords ``<attribute>\\x1f<value>``: one field however many attributes a shop has, so no mapping ever grows."""
FACT_SEPARATOR = "\x1f"
ATTRIBUTE_NAMES = "hybrid.attribute_names"
CATEGORY_PATHS = "hybrid.category_paths"
"""Keywords ``Wear``, ``Wear > Shoes``: the path and all its prefixes."""
CREATED, UPDATED = "hybrid.created", "hybrid.updated"
"""Doubles: seconds since 1970."""

# under ``hybrid``: the ledger
PARTS = "hybrid.parts"
"""``{"text": [hash], "image": [hash, …]}``: content hashes of the product as it is now."""
LEDGER = "hybrid.ledger"
"""Entries by space field; stored, not indexed: ``{state, parts, model, attempts, error, updated, priority, not_before, alone, counted}``."""
STATES = {"pending": "hybrid.pending", "ready": "hybrid.ready", "failed": "hybrid.failed"}
"""Keywords: the space fields in which the product is in that state. In none of the three, with parts there: pending as a backfill."""
NEXT_LIVE, NEXT_BACKFILL = "hybrid.next_live", "hybrid.next_backfill"
"""Doubles: from when on a pending entry of that priority may be chunked (the least ``not_before``); absent for none."""
ALONE = "hybrid.alone"
"""Whether a pending entry must come alone."""


def vector_field(space_field: str, part: Part) -> str:
    """Where the vectors of a space are: one per product for its words, one nested object per picture."""
    return f"{OWN}.vec_{space_field}.vector" if part == "image" else f"{OWN}.vec_{space_field}"


def nested_path(space_field: str) -> str:
    """The nested object around a picture space's vectors."""
    return f"{OWN}.vec_{space_field}"


TEXT_PATHS = {
    "title": "title",
    "brand": "brand.text",
    "category": "category.text",
    "color": "color.text",
    "size": "size.text",
    "material": "material.text",
    "attributes": ATTRIBUTE_VALUES,
    "description": "description",
    "all": "all",
}
"""Index field by name of ``schema.TEXT_FIELDS``."""

NUMERIC_PATHS = {
    "price": "price",
    "rating": "rating",
    "rating_count": "rating_count",
    "popularity": "popularity",
    "created": CREATED,
    "updated": UPDATED,
}
"""Index field by name of ``schema.NUMERIC_FIELDS``."""
