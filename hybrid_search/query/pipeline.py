"""The one place that says the order of a search: understand → plan → legs → fuse → adjust → page → explain."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from hybrid_search.control import Control
from hybrid_search.query.adjust import by_field, by_relevance
from hybrid_search.query.fuse import fuse, shares
from hybrid_search.query.legs import plan_legs
from hybrid_search.query.page import Ranked, Ranking, pack, unpack
from hybrid_search.query.parts import SearchParts
from hybrid_search.query.reply import BucketReply, FacetReply, Hit, Interpreted, SearchReply
from hybrid_search.query.request import SearchRequest
from hybrid_search.query.understand import Understood, understand
from hybrid_search.telemetry.searching import asking_engine, leg_left_out, leg_times, search_answered
from hybrid_search.telemetry.traces import span
from hybrid_search.types import Document, Facet, SearchPlan
from hybrid_search.waiting import at_most, left

FETCH_SHARE = 0.1
"""Of the time that is left when the engine is asked, what is kept for fetching the page's products: a late ranking is shown, too."""


def search(request: SearchRequest, parts: SearchParts) -> SearchReply:
    """Answer a request, or the following page of one that carries ``next``.

    Raises ``QueryError`` and ``NotFoundError`` for what the asker can mend, ``EngineUnavailable`` when the engine cannot answer at all.
    """
    with span("search"), at_most(parts.timeout):
        return _search(request, parts)


def _search(request: SearchRequest, parts: SearchParts) -> SearchReply:
    started = time.perf_counter()
    facets: tuple[Facet, ...] = ()
    if request.next is not None:
        ranking = unpack(request.next, parts.secret)
    else:
        ranking, facets = rank(request, parts)
    shown, rest = ranking.split(request.size)
    hits = _hits(shown, ranking.shown, request, parts)
    took = time.perf_counter() - started
    search_answered(_asked_by(request, ranking), ranking.query_id, ranking.degraded, took)
    return SearchReply(
        query_id=ranking.query_id,
        total=ranking.total,
        relation=ranking.relation,
        hits=hits,
        facets=tuple(_facet(facet) for facet in facets),
        next=pack(rest, parts.secret),
        degraded=ranking.degraded,
        interpreted=ranking.interpreted,
        took_ms=round(took * 1e3, 2),
    )


def _asked_by(request: SearchRequest, ranking: Ranking) -> str:
    """What the search was made of, in one of few words: a label."""
    if request.next is not None:
        return "next"
    if request.like is not None:
        return "product"
    return "+".join(sorted(ranking.interpreted.modalities, reverse=True)) or "everything"


def rank(request: SearchRequest, parts: SearchParts) -> tuple[Ranking, tuple[Facet, ...]]:
    """The whole ranking of a first page, within the window, and its facets."""
    _, control = parts.control.current()
    understood = understand(request, max_query_chars=parts.max_query_chars)
    asked = _plan(understood, request, parts)  # first: a wrong filter is told before any picture is fetched
    planned = plan_legs(understood, request, control, parts)
    weights = {} if understood.like is not None and not planned.weights else shares(planned.weights)
    with asking_engine("search", [leg.name for leg in planned.legs]):
        allowed = left()
        timeout = None if allowed is None else allowed * (1 - FETCH_SHARE)
        reply = parts.engine.search(replace(asked, legs=planned.legs, timeout=timeout))
    leg_times(reply.leg_seconds)
    for name in reply.failed:
        leg_left_out(name, "not_answered")
    if reply.sorted_ids is not None:
        places = by_field(reply.sorted_ids, window=parts.max_window)
    else:
        fused = fuse(reply.legs, weights, method=request.fusion or control.fusion)
        places = by_relevance(fused, window=parts.max_window, explained=request.explain)
    ranking = Ranking(
        query_id=uuid.uuid4().hex,
        shown=0,
        places=places,
        total=reply.total,
        relation=reply.relation,
        interpreted=_interpreted(understood, request, control, weights),
        degraded=(*planned.degraded, *(f"{name}: {reason}" for name, reason in reply.failed.items())),
    )
    return ranking, reply.facets


def _plan(understood: Understood, request: SearchRequest, parts: SearchParts) -> SearchPlan:
    """All of the plan but its legs. Raises ``QueryError`` for an unknown field."""
    return SearchPlan(
        legs=(),
        filters=tuple(f.to_filter() for f in request.filters),
        facets=tuple(f.to_facet() for f in request.facets),
        sort=tuple(s.to_sort() for s in request.sort),
        sort_limit=parts.max_window if request.sort else 0,
        exclude_ids=(understood.like,) if understood.like is not None else (),
    )


def _interpreted(understood: Understood, request: SearchRequest, control: Control, weights: Mapping[str, float]) -> Interpreted:
    return Interpreted(
        text=understood.text,
        language=understood.language,
        modalities=understood.modalities if understood.like is None else ("product", *understood.modalities),
        fusion=request.fusion or control.fusion,
        weights={name: round(share, 5) for name, share in weights.items()},
    )


def _hits(shown: tuple[Ranked, ...], before: int, request: SearchRequest, parts: SearchParts) -> tuple[Hit, ...]:
    """The page's products as they are stored now; one that was deleted since it was ranked leaves its place empty."""
    with asking_engine("fetch"):
        documents = parts.engine.fetch([place.id for place in shown])
    _, control = parts.control.current()
    names = {space.key: space.name for space in parts.spaces.active(control.active_spaces).values()}
    return tuple(
        _hit(place, before + at, document, request, names)
        for at, (place, document) in enumerate(zip(shown, documents, strict=True), 1)
        if document is not None
    )


def _hit(place: Ranked, rank_: int, document: Document, request: SearchRequest, names: Mapping[str, str]) -> Hit:
    body = document.body if request.fields is None else {name: document.body[name] for name in request.fields if name in document.body}
    entries = {names[key]: entry for key, entry in document.ledger.items() if key in names}
    image = entries.get("image")
    return Hit(
        id=place.id,
        rank=rank_,
        score=place.score,
        product=dict(body),
        states={name: entry.state for name, entry in entries.items()},
        image_error=image.error if image is not None else None,
        explain=place.explain if request.explain else None,
    )


def _facet(facet: Facet) -> FacetReply:
    return FacetReply(
        field=facet.field,
        buckets=tuple(BucketReply(value=b.value, count=b.count, low=b.low, high=b.high) for b in facet.buckets),
        others=facet.others,
    )
