"""Which fields of a product may be indexed for an evaluation: those asked for, and never an identifier, a file name or a group."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_search.errors import QueryError
from hybrid_search.evaluation.sets import EvaluationSet
from hybrid_search.product import Product

LABELS: tuple[str, ...] = ("category", "color", "size", "material", "attributes")
"""Fields that queries are sometimes made from by template."""
FIELDS: tuple[str, ...] = ("title", "description", "brand", *LABELS, "image")
"""What ``--index`` may name, beside ``all``."""

_SPELLINGS = {"images": "image", "colour": "color", "colours": "color", "colors": "color", "categories": "category"}


def parse_fields(text: str) -> tuple[str, ...]:
    """``title,description,image`` or ``all`` as field names. Raises ``QueryError`` for an unknown one."""
    named = [_SPELLINGS.get(name, name) for part in text.split(",") if (name := part.strip().lower())]
    if named == ["all"]:
        return FIELDS
    for name in named or [""]:
        if name not in FIELDS:
            raise QueryError(
                f"--index: unknown field {name!r}.", field="index", value=name, remedy=f"Use all, or some of: {', '.join(FIELDS)}."
            )
    return tuple(field for field in FIELDS if field in named)


def fair_fields(evaluation: EvaluationSet) -> tuple[str, ...]:
    """All fields, without the labels where the queries were made from labels: indexing those would leak the answers.

    A set tells it by the ``kind`` of its queries: one that is the name of a label field (``colour``, ``category``) was made from that field.
    """
    kinds = {_SPELLINGS.get(query.kind, query.kind) for query in evaluation.queries}
    return tuple(field for field in FIELDS if field not in LABELS) if kinds & set(LABELS) else FIELDS


def reduced(product: Product, fields: Sequence[str]) -> Product:
    """A product that holds nothing but its id, its language and ``fields``."""
    kept = {name: getattr(product, name) for name in fields if name != "image"}
    return Product(id=product.id, language=product.language, images=product.images if "image" in fields else (), **kept)
