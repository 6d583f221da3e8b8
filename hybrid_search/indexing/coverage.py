"""How much of a space is filled, and the gate that a cut-over passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hybrid_search.engines.base import Engine, EngineStatus, Failure
from hybrid_search.types import State

ENOUGH = 0.995
"""Share of the products with the part that must have their vectors."""
NAMED = 20
"""Failed products that a refusal names at most."""
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts of the products that have the space's part, by state."""

    space: str
    ready: int
    pending: int
    failed: int

    @property
    def total(self) -> int:
        return self.ready + self.pending + self.failed

    @property
    def share(self) -> float:
        """``ready / total``; 1 where no product has the part."""
        return self.ready / self.total if self.total else 1.0

    def enough(self, at_least: float = ENOUGH) -> bool:
        """Whether the gate is passed; counts are compared, so that 995 of 1,000 are enough for .995."""
        return self.ready >= at_least * self.total - 1e-9


def coverage(status: EngineStatus, space: str) -> Coverage:
    """Coverage of the space with this key."""
    states = status.states.get(space, {})
    return Coverage(space, states.get(State.READY, 0), states.get(State.PENDING, 0), states.get(State.FAILED, 0))


def failed_in(engine: Engine, space: str, *, limit: int = NAMED) -> list[Failure]:
    """The first ``limit`` failed products of a space, by id; reads the list page by page."""
    found: list[Failure] = []
    for failure in _failures(engine):
        if failure.entry.space == space:
            found.append(failure)
            if len(found) == limit:
                break
    return found


def _failures(engine: Engine) -> Iterator[Failure]:
    after = ("", "")
    while page := engine.failures(limit=_PAGE, after=after):
        yield from page
        after = (page[-1].product_id, page[-1].entry.space)
