"""The systems that are compared, as plain functions from an index and a query to product ids, best first.

``bm25`` words against words, ``text`` word vectors against word vectors, ``cross`` words against pictures only, ``image`` pictures against
pictures, ``hybrid`` the product's whole query pipeline with its default control document. ``random`` is the floor, averaged over shuffles.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from hybrid_search.console import progress
from hybrid_search.control import Control
from hybrid_search.errors import CatalogError, ImageError
from hybrid_search.evaluation.index import BuiltIndex
from hybrid_search.evaluation.metrics import DEPTH, MEASURES, per_query
from hybrid_search.evaluation.sets import EvaluationSet, Query
from hybrid_search.query.pipeline import search
from hybrid_search.query.request import ImageInput, SearchRequest
from hybrid_search.types import KeywordLeg, Leg, SearchPlan, VectorLeg

Ranking: TypeAlias = tuple[str, ...]
SHUFFLES = 10


@dataclass(frozen=True, slots=True)
class System:
    """``answers`` says whether the index and a query allow it; ``rank`` gives the ids, at most ``DEPTH`` of them count."""

    answers: Callable[[BuiltIndex, Query], bool]
    rank: Callable[[BuiltIndex, Query], Ranking]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A system's measures on the queries it was asked: ``values[name][i]`` belongs to ``query_ids[i]``."""

    query_ids: tuple[str, ...]
    values: Mapping[str, npt.NDArray[np.float64]]


def bm25(index: BuiltIndex, query: Query) -> Ranking:
    """Keyword match with the product's default field weights and match rule."""
    control = Control()
    return _leg(index, KeywordLeg("bm25", query.text, control.field_weights, control.minimum_should_match, control.candidates))


def text(index: BuiltIndex, query: Query) -> Ranking:
    """Nearest product texts to the words."""
    return _words(index, query, "text")


def cross(index: BuiltIndex, query: Query) -> Ranking:
    """Nearest product pictures to the words, through a shared space or a fitted map."""
    return _words(index, query, cross_space(index) or "cross")


def image(index: BuiltIndex, query: Query) -> Ranking:
    """Nearest product pictures to the picture."""
    space = index.spaces["image"]
    encoder = index.parts.encoders.image_encoder(space.query_models["image"])
    vector = encoder.encode_queries([_picture(index, query, encoder.card.image_size)])[0]
    return _leg(index, VectorLeg("image", space.key, vector, Control().candidates))


def hybrid(index: BuiltIndex, query: Query) -> Ranking:
    """The whole pipeline, as a shopper gets it."""
    images = (ImageInput(base64=base64.b64encode(query.image.read_bytes()).decode()),) if query.image is not None else ()
    reply = search(SearchRequest(q=query.text, images=images, size=DEPTH, fields=()), index.parts)
    if reply.degraded:
        raise CatalogError(f"Query {query.id}: {'; '.join(reply.degraded)}.", field="query", value=query.id, remedy="Mend that part first.")
    return tuple(hit.id for hit in reply.hits)


def cross_space(index: BuiltIndex) -> str | None:
    """The name of the space where words meet pictures, if there is one."""
    return next((name for name in ("cross", "image") if name in index.spaces and "text" in index.spaces[name].query_models), None)


SYSTEMS: dict[str, System] = {
    "bm25": System(lambda index, query: bool(query.text) and index.has_words, bm25),
    "text": System(lambda index, query: bool(query.text) and "text" in index.spaces, text),
    "cross": System(lambda index, query: bool(query.text) and cross_space(index) is not None, cross),
    "image": System(lambda index, query: query.image is not None and "image" in index.spaces, image),
    "hybrid": System(lambda index, query: True, hybrid),
}
"""In the order they are shown, after ``random``."""


def run_systems(index: BuiltIndex, evaluation: EvaluationSet, *, quiet: bool = False) -> dict[str, Outcome]:
    """Ask every system every query that it can answer; one that can answer none is left out."""
    outcomes = {"random": _random(index, evaluation)}
    asked = {name: [q for q in evaluation.queries if system.answers(index, q)] for name, system in SYSTEMS.items()}
    with progress("searching", sum(map(len, asked.values())), quiet=quiet) as advance:
        done = 0
        for name, queries in asked.items():
            run: dict[str, Ranking] = {}
            for query in queries:
                run[query.id] = SYSTEMS[name].rank(index, query)
                advance(done := done + 1)
            if queries:
                ids = tuple(query.id for query in queries)
                outcomes[name] = Outcome(ids, per_query(run, evaluation.qrels, ids))
    return outcomes


def _random(index: BuiltIndex, evaluation: EvaluationSet) -> Outcome:
    """The mean over shuffles of the whole catalogue, the same ones every time."""
    ids = tuple(query.id for query in evaluation.queries)
    totals = {name: np.zeros(len(ids)) for name in MEASURES}
    for run in _shuffled(index.product_ids, ids):
        for name, values in per_query(run, evaluation.qrels, ids).items():
            totals[name] += values / SHUFFLES
    return Outcome(ids, totals)


def _shuffled(product_ids: Sequence[str], query_ids: Sequence[str]) -> Iterator[dict[str, Ranking]]:
    random = np.random.default_rng(0)
    products = np.array(product_ids, dtype=object)
    for _ in range(SHUFFLES):
        yield {query_id: tuple(random.choice(products, min(DEPTH, len(products)), replace=False)) for query_id in query_ids}


def _words(index: BuiltIndex, query: Query, name: str) -> Ranking:
    space = index.spaces[name]
    vector = index.parts.query_vector(space.query_models["text"], query.text)
    return _leg(index, VectorLeg(name, space.key, vector, Control().candidates))


def _leg(index: BuiltIndex, leg: Leg) -> Ranking:
    return index.parts.engine.search(SearchPlan(legs=(leg,))).legs[leg.name].ids


def _picture(index: BuiltIndex, query: Query, min_side: int) -> Image:
    assert query.image is not None  # `answers` was asked before
    try:
        return index.parts.intake.decode(query.image.read_bytes(), min_side=min_side)
    except ImageError as err:
        raise CatalogError(
            f"The picture of query {query.id} cannot be read: {err.message}",
            field="image",
            value=str(query.image),
            remedy="Mend or remove it.",
        ) from err
