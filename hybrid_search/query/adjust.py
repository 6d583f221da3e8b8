"""Between the fused ranking and the page: the order that was asked for, and the window. Later stages (moves, rules, collapse) belong here."""

from __future__ import annotations

from hybrid_search.query.explain import explain
from hybrid_search.query.fuse import Fused
from hybrid_search.query.page import Ranked


def by_relevance(fused: Fused, *, window: int, explained: bool) -> tuple[Ranked, ...]:
    """The first ``window`` products by fused score."""
    parts = fused.parts() if explained else {}
    pairs = zip(fused.ids[:window], fused.scores[:window], strict=True)
    return tuple(Ranked(id=i, score=round(score, 5), explain=explain(fused.method, parts[i]) if explained else None) for i, score in pairs)


def by_field(sorted_ids: tuple[str, ...], *, window: int) -> tuple[Ranked, ...]:
    """The first ``window`` products in the engine's order of a field; they carry no score, since none decided."""
    return tuple(Ranked(id=i) for i in sorted_ids[:window])
