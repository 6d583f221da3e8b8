"""A plan answered from one generation. Pure: reads nothing else and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.analysis import terms
from hybrid_search.engines.embedded.counting import best, count_facet, sort_rows
from hybrid_search.engines.embedded.filtering import filter_mask
from hybrid_search.engines.embedded.reader import Generation
from hybrid_search.errors import QueryError
from hybrid_search.schema import require_text
from hybrid_search.types import AllLeg, EngineReply, FloatVector, KeywordLeg, Leg, LegHits, SearchPlan, VectorLeg

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int32]


def answer(generation: Generation, plan: SearchPlan, dims: Mapping[str, int]) -> EngineReply:
    """``Engine.search``.

    Args:
        dims: dimension by key of every space that exists, those without any vector yet included.

    Raises ``QueryError`` for an unknown field or space and for a vector of another dimension.
    """
    deadline = None if plan.timeout is None else time.monotonic() + plan.timeout
    columns = generation.columns
    mask = filter_mask(columns, plan.filters, plan.exclude_ids)
    filtered = bool(plan.filters or plan.exclude_ids)
    matched = np.zeros(columns.size, dtype=np.bool_)
    legs: dict[str, LegHits] = {}
    failed: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for leg in plan.legs:
        if deadline is not None and time.monotonic() > deadline:
            failed[leg.name] = f"timeout: the search's {plan.timeout:g} s had passed"
            continue
        started = time.perf_counter()
        rows, hits, scores = _run(generation, leg, mask, filtered, dims)
        matched[rows] = True
        legs[leg.name] = LegHits(leg.name, tuple([columns.ids[row] for row in hits.tolist()]), scores)
        seconds[leg.name] = time.perf_counter() - started
    everything = np.flatnonzero(matched).astype(np.int32)
    sorted_ids = None
    if plan.sort:
        sorted_ids = tuple([columns.ids[row] for row in sort_rows(columns, plan.sort, everything, plan.sort_limit).tolist()])
    facets = tuple(count_facet(columns, request, everything) for request in plan.facets)
    return EngineReply(legs, len(everything), "eq", facets, sorted_ids, generation.seq, failed, seconds)


def _run(generation: Generation, leg: Leg, mask: Mask, filtered: bool, dims: Mapping[str, int]) -> tuple[Rows, Rows, FloatVector]:
    """Rows that the leg adds to the match set; its hits and their scores, best first."""
    if isinstance(leg, KeywordLeg):
        return _keyword(generation, leg, mask)
    if isinstance(leg, VectorLeg):
        return _vector(generation, leg, mask if filtered else None, dims)
    return _all(generation, leg, mask)


def _keyword(generation: Generation, leg: KeywordLeg, mask: Mask) -> tuple[Rows, Rows, FloatVector]:
    weights = {require_text(field): weight for field, weight in leg.fields.items()}
    rows, scores = generation.text.match(terms(leg.text), weights, leg.minimum_should_match)
    kept = mask[rows]
    rows, scores = rows[kept], scores[kept]
    first = best(rows, scores, leg.k, generation.columns.order)
    return rows, rows[first], scores[first]


def _vector(generation: Generation, leg: VectorLeg, mask: Mask | None, dims: Mapping[str, int]) -> tuple[Rows, Rows, FloatVector]:
    dim = dims.get(leg.space)
    if dim is None:
        raise QueryError(
            f"Unknown space {leg.space!r}.", field="space", value=leg.space, remedy=f"Existing spaces: {', '.join(dims) or 'none'}."
        )
    if leg.vector.shape != (dim,):
        raise QueryError(
            f"The query vector of leg {leg.name!r} has shape {leg.vector.shape}, space {leg.space} has dimension {dim}.",
            field=leg.space,
            value=leg.vector.shape,
            remedy="Encode the query with the space's own query model.",
        )
    matrix = generation.matrices.get(leg.space)
    if matrix is None or matrix.files.dim != dim:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    rows, scores = matrix.search(np.ascontiguousarray(leg.vector, dtype=np.float32), leg.k, mask)
    near = scores >= leg.min_score
    rows, scores = rows[near], scores[near]
    first = best(rows, scores, leg.k, generation.columns.order)
    return rows[first], rows[first], scores[first]


def _all(generation: Generation, leg: AllLeg, mask: Mask) -> tuple[Rows, Rows, FloatVector]:
    rows = np.flatnonzero(mask).astype(np.int32)
    scores = generation.columns.numbers("popularity")[rows].astype(np.float32)
    first = best(rows, scores, leg.k, generation.columns.order)
    return rows, rows[first], scores[first]
