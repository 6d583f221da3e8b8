"""What a copy that we made says of itself in its mapping (``_meta``): of which index it is one, and whether it was finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hybrid_search.attach.source import SourceIndex, index_path
from hybrid_search.engines.cluster.transport import Transport

MARK = "hybrid_search_copy"
"""Key inside ``_meta``."""


@dataclass(frozen=True, slots=True)
class CopyMark:
    """``of`` and ``uuid`` are name and uuid of the index that was copied."""

    of: str
    uuid: str
    finished: bool


def marked(mapping: Mapping[str, Any], old: SourceIndex, *, finished: bool = False) -> dict[str, Any]:
    """``mapping`` as that of a copy of ``old``."""
    return {**mapping, "_meta": {**mapping.get("_meta", {}), MARK: asdict(CopyMark(old.name, old.uuid, finished))}}


def unmarked(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """``mapping`` as it was copied."""
    meta = {key: value for key, value in mapping.get("_meta", {}).items() if key != MARK}
    rest = {key: value for key, value in mapping.items() if key != "_meta"}
    return {**rest, "_meta": meta} if meta else rest


def mark_of(transport: Transport, index: str) -> CopyMark | None:
    """The mark of an index or an alias for one; ``None`` where there is no such index, several, or none that we made."""
    reply = transport.request("GET", f"{index_path(index)}/_mapping", ignore=(404,))
    if not reply.ok or len(reply.body) != 1:
        return None
    ((_, told),) = reply.body.items()
    given = told["mappings"].get("_meta", {}).get(MARK)
    return CopyMark(**given) if isinstance(given, dict) and given.keys() == {"of", "uuid", "finished"} else None
