"""A product as a document of the server, and back. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hybrid_search.engines.cluster.layout import FACT_SEPARATOR, OWN, vector_field
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix, Part

DEFAULTS: Mapping[str, Any] = {"availability": "in_stock", "rating_count": 0, "popularity": 0.0}
"""What a body leaves out at its default and the index needs: put in when written, taken off when read."""
LONGEST_ID = 512
"""Bytes of an ``_id``."""
_PATH = " > "
_LARGEST_RANK, _SMALLEST_RANK = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def document_id(id_: str) -> str:
    """``_id`` of a product: its id, or the hash of one that is too long for a server."""
    encoded = id_.encode("utf-8", "surrogatepass")
    return id_ if len(encoded) <= LONGEST_ID else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def storable(ids: Iterable[str]) -> list[str]:
    """Those of ``ids`` that any product can have: lone surrogates are no text, and no server takes them."""
    return [id_ for id_ in ids if id_ and id_.isascii() or _is_text(id_)]


def _is_text(id_: str) -> bool:
    try:
        return bool(id_.encode())
    except UnicodeEncodeError:
        return False


def source(product: Product) -> dict[str, Any]:
    """The document of a product without its ledger and vectors: its body, and under ``hybrid`` what is generated for search."""
    body = product.body()
    own: dict[str, Any] = {}
    if attributes := body.get("attributes"):
        own["attribute_values"] = [value for values in attributes.values() for value in values]
        own["facts"] = list(dict.fromkeys(f"{name}{FACT_SEPARATOR}{value}" for name, values in attributes.items() for value in values))
        own["attribute_names"] = list(attributes)
    if path := body.get("category"):
        own["category_paths"] = [_PATH.join(path[: depth + 1]) for depth in range(len(path))]
    own |= {field: _seconds(body[field]) for field in ("created", "updated") if field in body}
    own |= {f"{field}_rank": rank for field in ("popularity", "rating_count") if (rank := _rank(body.get(field, 0))) is not None}
    return {**DEFAULTS, **body, OWN: own}


def body(stored: Mapping[str, Any]) -> dict[str, Any]:
    """``Product.body()`` out of a stored document."""
    return {key: value for key, value in stored.items() if key != OWN and (key not in DEFAULTS or value != DEFAULTS[key])}


def stored_vectors(vectors: FloatMatrix, part: Part) -> Any:
    """What a vector field holds: one vector for words, one nested object per picture; ``None`` for no vectors. Rows stay numpy."""
    if not len(vectors):
        return None
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    return [{"vector": row} for row in rows] if part == "image" else rows[0]


def read_stored_vectors(stored: Mapping[str, Any], space_field: str, part: Part) -> FloatMatrix | None:
    """``(m, dim)`` float32 out of a document that was read with this field; ``None`` where it has none."""
    name = vector_field(space_field, part).split(".")[1]
    held = stored.get(OWN, {}).get(name)
    if not held:
        return None
    rows = [one["vector"] for one in held] if part == "image" else [held]
    return np.array(rows, dtype=np.float64).astype(np.float32)


def _seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _rank(value: float) -> float | None:
    """A ``rank_feature`` is a positive normal float32, or left out."""
    return min(max(float(value), _SMALLEST_RANK), _LARGEST_RANK) if value > 0 else None
