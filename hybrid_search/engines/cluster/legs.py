"""Legs of a plan as searches of a server, and what it answers as hits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_search.engines.analysis import terms
from hybrid_search.engines.cluster.dialect import Dialect
from hybrid_search.engines.cluster.fields import EVERYTHING, OWN_FIELDS, Clause, Fields
from hybrid_search.engines.cluster.layout import TEXT_PATHS, nested_path, vector_field
from hybrid_search.engines.should_match import required_matches
from hybrid_search.errors import QueryError
from hybrid_search.schema import require_text
from hybrid_search.types import KeywordLeg, Leg, LegHits, Space, VectorLeg

MOST_CLAUSES = 960
"""Terms of one query, words × fields; servers refuse more than 1,024 clauses with the filters. Words beyond are left out."""
MOST_HITS = 10_000
"""``index.max_result_window`` of servers, also their largest k."""
LEAST_CANDIDATES = 256
PICTURES = 4
"""Vectors per product that an exact search of a picture space makes room for."""
_TIES = 32
"""Neighbours asked for beyond k: those that tie with the k-th are then cut by id, not by where they lie in the index."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Searchable:
    """What a search has to know of an index."""

    index: str
    spaces: Mapping[str, tuple[Space, str]]
    """By key: the space, and the name of its field."""
    products: int
    """About how many products there are: up to ``exact_up_to`` all vectors are compared."""
    shards: int
    exact_up_to: int
    keyword: Callable[[KeywordLeg], Clause | None] | None = None
    """How words are matched in an index that has its own analysis (``attach`` in place); ours by default."""
    fields: Fields = OWN_FIELDS


@dataclass(frozen=True, slots=True)
class LegSearch:
    """A leg as a search. ``body`` is ``None`` where nothing can match, and then nothing is sent."""

    leg: Leg
    body: dict[str, Any] | None
    matches: Clause
    """What the leg adds to the match set, filters aside."""
    score: Callable[[float], float]
    """From the server's score to ours."""


def leg_search(leg: Leg, filters: Sequence[Clause], searchable: Searchable, dialect: Dialect) -> LegSearch:
    """Raises ``QueryError`` for an unknown field or space and for a vector of another dimension."""
    if isinstance(leg, KeywordLeg):
        return _keyword(leg, filters, searchable, dialect)
    if isinstance(leg, VectorLeg):
        return _vector(leg, filters, searchable, dialect)
    order = [*searchable.fields.by_popularity(), {"id": "asc"}]
    return LegSearch(leg, _body(filtered(EVERYTHING, filters), leg.k, order), EVERYTHING, float)


def filtered(scored: Clause, filters: Sequence[Clause]) -> Clause:
    """A scored clause inside filters that do not score."""
    return {"bool": {"must": [scored], "filter": list(filters)}} if filters else scored


def read_hits(search: LegSearch, answer: Mapping[str, Any]) -> tuple[LegHits, bool]:
    """The leg's hits, and whether one beyond k ties with the last of them.

    ``answer`` is one response of ``_msearch``: score and id of a hit are its two sort values, so no stored field is read.
    """
    leg = search.leg
    found = [hit["sort"] for hit in answer.get("hits", {}).get("hits", ())]
    ties = 0 < leg.k < len(found) and found[leg.k - 1][0] == found[leg.k][0]
    shown = found[: leg.k]
    scores = np.array([search.score(score) for score, _ in shown], dtype=np.float32)
    return LegHits(leg.name, tuple(id_ for _, id_ in shown), scores), ties


def no_hits(leg: Leg) -> LegHits:
    return LegHits(leg.name, (), np.empty(0, dtype=np.float32))


def _body(query: Clause, k: int, order: list[Any]) -> dict[str, Any] | None:
    if k <= 0:
        return None
    return {
        "query": query,
        "size": min(k, MOST_HITS),
        "sort": order,
        "track_total_hits": False,
        "_source": False,
        "stored_fields": "_none_",
    }


_BY_SCORE: list[Any] = [{"_score": "desc"}, {"id": "asc"}]


def _keyword(leg: KeywordLeg, filters: Sequence[Clause], searchable: Searchable, dialect: Dialect) -> LegSearch:
    clause = _own_words(leg) if searchable.keyword is None else searchable.keyword(leg)
    if clause is None:
        return LegSearch(leg, None, {"match_none": {}}, float)
    factor = dialect.bm25_factor
    return LegSearch(leg, _body(filtered(clause, filters), leg.k, _BY_SCORE), clause, lambda score: score / factor)


def _own_words(leg: KeywordLeg) -> Clause | None:
    weights = {TEXT_PATHS[require_text(field)]: weight for field, weight in leg.fields.items()}
    words = terms(leg.text)[: MOST_CLAUSES // max(len(weights), 1)]
    need = required_matches(len(words), leg.minimum_should_match)
    if not need or not weights:
        return None
    # A repeated word stands there as often: it scores and counts again.
    by_word = [[{"term": {path: {"value": word, "boost": weight}}} for path, weight in weights.items()] for word in words]
    if need == 1:
        return {"bool": {"should": [term for one in by_word for term in one]}}
    any_field = [one[0] if len(one) == 1 else {"bool": {"should": one}} for one in by_word]
    return {"bool": {"should": any_field, "minimum_should_match": need}}


def _vector(leg: VectorLeg, filters: Sequence[Clause], searchable: Searchable, dialect: Dialect) -> LegSearch:
    if leg.space not in searchable.spaces:
        raise QueryError(
            f"Unknown space {leg.space!r}.",
            field="space",
            value=leg.space,
            remedy=f"Existing spaces: {', '.join(searchable.spaces) or 'none'}.",
        )
    space, field = searchable.spaces[leg.space]
    if leg.vector.shape != (space.dim,):
        raise QueryError(
            f"The query vector of leg {leg.name!r} has shape {leg.vector.shape}, space {leg.space} has dimension {space.dim}.",
            field=leg.space,
            value=leg.vector.shape,
            remedy="Encode the query with the space's own query model.",
        )
    if leg.k <= 0:
        return LegSearch(leg, None, {"match_none": {}}, float)
    k = min(leg.k, MOST_HITS)
    wide = min(k + _TIES, MOST_HITS)
    ef = _candidates(space, wide, searchable, dialect)

    def clause(neighbours: int) -> Clause:
        near = dialect.knn(vector_field(field, space.part), np.ascontiguousarray(leg.vector, dtype=np.float32), neighbours, ef, filters)
        if space.part == "image":
            near = {"nested": {"path": nested_path(field), "score_mode": "max", "query": near}}
        if leg.min_score > -1:
            near = {"function_score": {"query": near, "min_score": (1 + leg.min_score) / 2 - _ROUNDING}}
        return near

    body = _body(clause(wide), k + 1, _BY_SCORE)
    return LegSearch(leg, body, clause(k), lambda score: 2 * score - 1)


def _candidates(space: Space, k: int, searchable: Searchable, dialect: Dialect) -> int:
    """How many neighbours a segment of the index collects. As many as it has vectors make its search a plain comparison with all."""
    approximate = min(max(LEAST_CANDIDATES, 2 * k), dialect.most_candidates)
    if searchable.products > searchable.exact_up_to:
        return approximate
    # a segment holds deleted ones too, at most about a third
    everything = 2 * (PICTURES if space.part == "image" else 1) * searchable.products + LEAST_CANDIDATES
    return max(everything, k) if everything <= dialect.most_candidates else approximate
