"""The quality gate of a cut-over: two versions of a space, compared on the live index with judged queries.

The whole query pipeline answers, as a shopper gets it, once with each version in place; everything else is the same.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_search.errors import CatalogError, ConflictError
from hybrid_search.evaluation.bootstrap import interval
from hybrid_search.evaluation.metrics import per_query
from hybrid_search.evaluation.sets import Qrels, Query, read_judged
from hybrid_search.query.parts import SearchParts, SpaceReader
from hybrid_search.query.pipeline import search
from hybrid_search.query.request import ImageInput, SearchRequest
from hybrid_search.types import Space

TOLERANCE = 0.01
"""By how much the mean nDCG@10 of the new version may lie below the old one's."""
_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean nDCG@10 of both versions over ``queries``, and the 95 % interval of the difference (paired bootstrap over queries)."""

    queries: int
    old: float
    new: float
    low: float
    high: float

    def enough(self, tolerance: float) -> bool:
        """Whether the new version is not worse than the old one by more than ``tolerance``."""
        return self.new >= self.old - tolerance - 1e-12


def judged_queries(path: Path, split: str | None) -> tuple[tuple[Query, ...], Qrels]:
    """Queries and judgements: of ``queries.NAME.jsonl`` with ``qrels.NAME.tsv`` beside it, or of a folder with ``split`` as NAME.

    Raises ``CatalogError`` with the remedy.
    """
    if path.is_dir():
        if split is None:
            found = ", ".join(sorted(file.name.split(".")[1] for file in path.glob("queries.*.jsonl"))) or "none"
            raise CatalogError(f"{path} is a folder: say which split.", field="split", remedy=f"Add --split NAME; there: {found}.")
        return read_judged(path, split)
    pieces = path.name.split(".")
    if len(pieces) != 3 or pieces[0] != "queries" or pieces[2] != "jsonl":
        raise CatalogError(
            f"{path} is no file of judged queries.",
            field="queries",
            value=str(path),
            remedy="Give queries.NAME.jsonl with qrels.NAME.tsv beside it, or a folder and --split NAME (docs/evaluation.md).",
        )
    return read_judged(path.parent, pieces[1])


def compare_versions(
    parts: SearchParts,
    old: Space,
    new: Space,
    queries: Sequence[Query],
    qrels: Qrels,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Quality:
    """Ask every judged query with each version.

    Raises ``CatalogError`` when a leg was left out of an answer: such a comparison would say nothing.
    """
    judged = [query for query in queries if qrels.get(query.id)]
    ids = tuple(query.id for query in judged)
    means = []
    done = 0
    for space in (old, new):
        pinned = replace(parts, spaces=SpaceReader(parts.engine, pinned={space.name: space.key}))
        run: dict[str, tuple[str, ...]] = {}
        for query in judged:
            run[query.id] = _rank(pinned, query)
            on_progress(done := done + 1)
        means.append(per_query(run, qrels, ids)["ndcg@10"])
    low, high = interval(means[1] - means[0])
    return Quality(len(ids), float(means[0].mean()), float(means[1].mean()), low, high)


def check_quality(found: Quality, *, tolerance: float) -> None:
    """The quality gate. Raises ``ConflictError`` with the figures when it is not passed."""
    if not found.enough(tolerance):
        raise ConflictError(
            f"nDCG@10 falls from {found.old:.4f} to {found.new:.4f} on {found.queries} judged queries, "
            f"by more than {tolerance:g} (difference within {found.low:+.4f} and {found.high:+.4f}).",
            field="queries",
            value=round(found.new, 4),
            remedy="Keep the old version, or allow more with --tolerance.",
        )


def _rank(parts: SearchParts, query: Query) -> tuple[str, ...]:
    images = (ImageInput(base64=base64.b64encode(query.image.read_bytes()).decode()),) if query.image is not None else ()
    reply = search(SearchRequest(q=query.text, images=images, size=_DEPTH, fields=()), parts)
    if reply.degraded:
        raise CatalogError(f"Query {query.id}: {'; '.join(reply.degraded)}.", field="query", value=query.id, remedy="Mend that part first.")
    return tuple(hit.id for hit in reply.hits)
