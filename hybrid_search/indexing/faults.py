"""What went wrong with one text or picture, and how the ledger words it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_search.errors import ImageError

LONGEST = 500
"""Characters of an error that the ledger keeps."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one item has no vector. ``transient``: another try may succeed."""

    reason: str
    sentence: str
    transient: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.sentence}"[:LONGEST]


def image_fault(error: ImageError) -> Fault:
    """The fault of an image that the intake refused."""
    return Fault(error.reason, error.message, error.transient)


def joined(faults: Sequence[tuple[int, Fault]], total: int) -> str:
    """One line for a product's failed pictures, ``(number from 1, fault)``; the first one's reason leads."""
    if total == 1:
        return str(faults[0][1])
    places = "; ".join(f"picture {number} of {total}: {fault.sentence}" for number, fault in faults)
    return f"{faults[0][1].reason}: {places}"[:LONGEST]
