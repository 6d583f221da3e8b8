"""What is added to the mapping of a foreign index, all of it under ``hybrid``: the ledger's fields, and the product's id."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.layout import ALONE, LEDGER, NEXT_BACKFILL, NEXT_LIVE, OWN, PARTS, STATES
from hybrid_search.engines.cluster.transport import Transport

ID = f"{OWN}.id"
"""Keyword: the document's own id, written when a product is first seen. It is what tells that a document carries our fields."""
REJECTED = f"{OWN}.rejected"
"""Why a document cannot become a product; stored only."""


def _below(path: str) -> str:
    return path.removeprefix(f"{OWN}.")


def own_mapping() -> dict[str, Any]:
    """The body of the mapping update. ``dynamic`` is false below ``hybrid``, whatever theirs says of the rest."""
    fields: dict[str, Any] = {
        _below(ID): {"type": "keyword"},
        _below(PARTS): {"properties": {"text": {"type": "keyword"}, "image": {"type": "keyword"}}},
        _below(LEDGER): {"type": "object", "enabled": False},
        _below(NEXT_LIVE): {"type": "double"},
        _below(NEXT_BACKFILL): {"type": "double"},
        _below(ALONE): {"type": "boolean"},
        **{_below(path): {"type": "keyword"} for path in STATES.values()},
    }
    return {"properties": {OWN: {"type": "object", "dynamic": False, "properties": fields}}}


def add_own_fields(transport: Transport, index: str) -> None:
    """Add them; those that are there already are left alone. Raises ``ServerError``, as for a field limit that is reached."""
    transport.request("PUT", f"/{quote(index, safe='')}/_mapping", own_mapping())
