"""The newest version of each product that a change feed told, deletions included: what makes late and doubled changes harmless.

A record is the feed's last word on a product, with its content. It is written before the product is, so whoever dies in between leaves
a record that the next change of that product applies again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LARGEST_VERSION = 2**63 - 2
"""Servers keep versions as signed 64-bit numbers, and must be able to count one on."""


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """``body`` is the product as JSON, ``None`` for a deletion (a tombstone, kept for good: a late change must not resurrect it)."""

    product_id: str
    version: int
    body: Mapping[str, Any] | None


class ChangeStore(Protocol):
    """Records by product id. May be shared by threads."""

    def advance(self, records: Sequence[ChangeRecord]) -> list[bool]:
        """Keep each record whose version is greater than the kept one; per record, in order, whether it was kept.

        Atomic per product, and durable when it returns. Raises ``EngineUnavailable``.
        """
        ...

    def newest(self, ids: Sequence[str]) -> list[ChangeRecord | None]:
        """The kept records in the order of ``ids``; reads what was kept at once."""
        ...

    def close(self) -> None: ...
