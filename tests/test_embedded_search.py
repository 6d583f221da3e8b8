"""The embedded engine's search side: the contract, and every kind of plan against a naive computation in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.arrays import Array
from hybrid_search.engines.embedded.bm25 import LENGTHS, norm_bytes
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.engines.embedded.text_index import Segment, TextFollower
from hybrid_search.engines.embedded.text_segment import build_segment, merge_segments
from hybrid_search.engines.should_match import required_matches
from hybrid_search.product import Product
from hybrid_search.schema import TEXT_FIELDS
from hybrid_search.types import (
    AllLeg,
    CategoryPrefix,
    Exists,
    FacetRequest,
    Filter,
    FloatMatrix,
    KeywordLeg,
    Leg,
    Range,
    SearchPlan,
    SortKey,
    Space,
    Terms,
    VectorLeg,
    VectorWrite,
)
from tests.contracts.engine_search import SearchContract, bm25


@pytest.fixture(params=["float16", "float32"])
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine(tmp_path, vector_dtype=request.param)
    yield made
    made.close()


class TestEmbeddedSearch(SearchContract):
    pass


def test_norm_bytes_are_lucenes() -> None:
    """``SmallFloat.intToByte4``: exact to 40, then steps of 2, 4, 8 …; 255 is the largest length an ``int`` can have."""
    assert LENGTHS[:40].tolist() == list(range(40))
    assert LENGTHS[40:57].tolist() == [40, 42, 44, 46, 48, 50, 52, 54, 56, 60, 64, 68, 72, 76, 80, 84, 88]
    assert norm_bytes(np.array([0, 39, 41, 55, 59, 87])).tolist() == [0, 39, 40, 47, 48, 55]
    assert LENGTHS[255] == 2_013_265_944


def test_a_reader_that_missed_a_merge_forgets_what_it_left_out() -> None:
    def segment(number: int, products: dict[int, str], **merged: Mapping[str, Array]) -> Segment:
        built = build_segment([(slot, {"title": text} if text else {}) for slot, text in products.items()])
        return Segment(f"t{number}", number, merged.get("arrays", built))

    first = segment(1, {1: "amber birch", 2: "amber"})
    gone = segment(2, {2: ""})
    alive = [np.array([False, True, False]), np.array([False, False, True])]
    merged = segment(3, {}, arrays=merge_segments([(first.arrays, alive[0]), (gone.arrays, alive[1])], keep_gone=False))
    follower = TextFollower()
    follower.advance([first], 3)
    state = follower.advance([merged], 3)
    title = TEXT_FIELDS.index("title")
    assert (state.documents[title], state.lengths[title]) == (1, 2)
    slots, scores = state.match(["amber"], {"title": 1.0}, "1")
    assert slots.tolist() == [1]
    assert scores.tolist() == pytest.approx([bm25(1, 2, 1, [2])], rel=1e-5)


# --- against a naive computation -------------------------------------------------------------------------------------

SHOP = Space("shop", 1, 24, "image", "model", {"image": "model"})
WORDS = ["amber", "birch", "coral", "denim", "ebony", "flint"]
FIELDS = ("title", "description")


class Shelf:
    """An engine and what was put into it; no dataclass, because hypothesis would print all of it."""

    def __init__(self, engine: EmbeddedEngine, products: dict[str, Product], vectors: dict[str, FloatMatrix]) -> None:
        self.engine = engine
        self.products = products
        self.vectors = vectors


@pytest.fixture(scope="module", params=["float16", "float32"])
def shelf(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """300 products written twice over in uneven batches, so that segments, dead rows and replaced values are there."""
    rng = np.random.default_rng(3)
    engine = EmbeddedEngine(tmp_path_factory.mktemp("shelf"), vector_dtype=request.param)
    engine.add_space(SHOP)
    products: dict[str, Product] = {}
    vectors: dict[str, FloatMatrix] = {}
    for version in range(2):
        for start, stop in ((0, 150), (150, 290), (290, 299), (299, 300)):
            for number in range(start, stop):
                product = _random_product(rng, number)
                products[product.id] = product
                rows = rng.standard_normal((int(rng.integers(0, 4)), SHOP.dim)).astype(np.float32).round(1)
                vectors[product.id] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            ids = [f"p{number}" for number in range(start, stop)]
            parts = {id_: tuple(f"{id_}.{version}.{i}" for i in range(len(vectors[id_]))) for id_ in ids}
            engine.put([ProductWrite(products[id_], {"image": parts[id_]} if parts[id_] else {}) for id_ in ids])
            engine.write_vectors([VectorWrite(id_, SHOP.key, parts[id_], vectors[id_]) for id_ in ids if parts[id_]])
            engine.refresh()
    for number in range(0, 300, 17):
        engine.delete([f"p{number}"])
        del products[f"p{number}"], vectors[f"p{number}"]
    engine.refresh()
    yield Shelf(engine, products, vectors)
    engine.close()


def _random_product(rng: np.random.Generator, number: int) -> Product:
    def words(most: int) -> str:
        return " ".join(rng.choice(WORDS, size=int(rng.integers(0, most))))

    return Product(
        id=f"p{number}",
        title=words(5),
        description=words(12),
        brand=str(rng.choice(["", "Acme", "Bolt", "Core"])),
        category=tuple(["Top", str(rng.choice(["Left", "Right"])), "Leaf"][: int(rng.integers(0, 4))]),
        attributes={"fit": tuple(sorted(set(rng.choice(["slim", "wide", "long"], size=int(rng.integers(0, 3))).tolist())))},
        price=None if rng.random() < 0.2 else float(rng.integers(0, 20)),
        popularity=float(rng.integers(0, 3)),
    )


FILTERS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Terms, st.just("brand"), st.lists(st.sampled_from(["Acme", "Bolt", "None"]), max_size=2).map(tuple), st.booleans()),
    st.builds(Terms, st.just("attributes.fit"), st.sampled_from([("slim",), ("slim", "wide")]), st.booleans()),
    st.builds(Range, st.just("price"), gte=st.none() | st.integers(0, 20), lt=st.none() | st.integers(0, 20), exclude=st.booleans()),
    st.builds(CategoryPrefix, st.sampled_from([(), ("Top",), ("Top", "Left"), ("Left",)]), st.booleans()),
    st.builds(Exists, st.sampled_from(["price", "brand", "attributes.fit", "category"]), st.booleans()),
)
KEYWORD = st.builds(
    KeywordLeg,
    st.just("words"),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    st.sampled_from([{"title": 1.0}, {"description": 0.5}, {"title": 2.0, "description": 0.25}]),
    st.sampled_from(["1", "2", "100%", "2<67%", "-1"]),
    st.sampled_from([1, 7, 500]),
)
VECTOR = st.builds(
    lambda seed, k, floor: VectorLeg("near", SHOP.key, _direction(seed), k, floor),
    st.integers(0, 50),
    st.sampled_from([1, 10, 60, 1_000]),
    st.sampled_from([-1.0, 0.1]),
)
LEGS = st.tuples(KEYWORD) | st.tuples(VECTOR) | st.tuples(KEYWORD, VECTOR) | st.tuples(st.just(AllLeg("all", 20)))
FACETS = (FacetRequest("brand", 2), FacetRequest("attributes.fit"), FacetRequest("category", 3), FacetRequest("price", edges=(5.0, 10.0)))
SORTS = st.sampled_from([(), (SortKey("price"),), (SortKey("popularity", True), SortKey("price", True))])


def _direction(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    vector = np.random.default_rng(seed).standard_normal(SHOP.dim).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legs=LEGS, filters=st.lists(FILTERS, max_size=2).map(tuple), sort=SORTS, excluded=st.sampled_from([(), ("p5", "p7")]))
def test_any_plan_against_plain_python(
    shelf: Shelf, legs: tuple[Leg, ...], filters: tuple[Filter, ...], sort: tuple[SortKey, ...], excluded: tuple[str, ...]
) -> None:
    plan = SearchPlan(legs, filters, FACETS, sort, 25 if sort else 0, excluded)
    reply = shelf.engine.search(plan)
    allowed = {id_ for id_, product in shelf.products.items() if id_ not in excluded and all(_passes(product, one) for one in filters)}
    matched: set[str] = set()
    for leg in legs:
        scores = {id_: score for id_, score in _naive_scores(shelf, leg).items() if id_ in allowed}
        hits = reply.legs[leg.name]
        _assert_best(hits.ids, hits.scores.tolist(), scores, leg.k)
        matched |= set(hits.ids) if isinstance(leg, VectorLeg) else set(scores)
    assert reply.total == len(matched)
    products = [shelf.products[id_] for id_ in sorted(matched)]
    for facet in reply.facets[:3]:
        _assert_facet([(b.value, b.count) for b in facet.buckets], facet.others, products, facet.field)
    prices = [p.price for p in products if p.price is not None]
    assert [b.count for b in reply.facets[3].buckets] == [
        sum(p < 5 for p in prices), sum(5 <= p < 10 for p in prices), sum(p >= 10 for p in prices),
    ]  # fmt: skip
    assert reply.sorted_ids == (tuple(p.id for p in sorted(products, key=lambda p: _sort_key(p, sort))[:25]) if sort else None)


def _passes(product: Product, one: Filter) -> bool:
    if isinstance(one, Terms):
        passed = bool(set(_values(product, one.field)) & set(one.values))
    elif isinstance(one, Exists):
        passed = product.price is not None if one.field == "price" else bool(_values(product, one.field))
    elif isinstance(one, CategoryPrefix):
        passed = product.category[: len(one.path)] == one.path
    else:
        passed = product.price is not None and (one.gte is None or product.price >= one.gte) and (one.lt is None or product.price < one.lt)
    return passed != one.exclude


def _values(product: Product, field: str) -> list[str]:
    if field == "brand":
        return [product.brand] if product.brand else []
    if field == "category":
        return [" > ".join(product.category[:depth]) for depth in range(1, len(product.category) + 1)]
    return list(product.attributes.get("fit", ()))


def _naive_scores(shelf: Shelf, leg: Leg) -> dict[str, float]:
    if isinstance(leg, AllLeg):
        return {id_: product.popularity for id_, product in shelf.products.items()}
    if isinstance(leg, VectorLeg):
        near = {id_: float((rows @ leg.vector).max()) for id_, rows in shelf.vectors.items() if len(rows)}
        return {id_: score for id_, score in near.items() if score >= leg.min_score}
    words = leg.text.split()
    texts = {field: {id_: getattr(p, field).split() for id_, p in shelf.products.items() if getattr(p, field)} for field in leg.fields}
    lengths = {field: [len(text) for text in given.values()] for field, given in texts.items()}
    scores: dict[str, float] = {}
    for id_ in shelf.products:
        hit = sum(any(word in texts[field].get(id_, ()) for field in leg.fields) for word in words)
        if hit >= required_matches(len(words), leg.minimum_should_match):
            scores[id_] = math.fsum(
                weight * bm25(text.count(word), len(text), sum(word in other for other in texts[field].values()), lengths[field])
                for word in words
                for field, weight in leg.fields.items()
                if word in (text := texts[field].get(id_, []))
            )
    return scores


def _assert_best(ids: tuple[str, ...], scores: list[float], expected: dict[str, float], k: int) -> None:
    """The k best with the right scores; products that differ by less than rounding may change places."""
    assert len(ids) == len(set(ids)) == min(k, len(expected))
    assert scores == pytest.approx([expected[id_] for id_ in ids], rel=1e-4, abs=2e-3)
    assert list(zip([-score for score in scores], ids, strict=True)) == sorted(zip([-score for score in scores], ids, strict=True))
    if ids:
        assert max((score for id_, score in expected.items() if id_ not in ids), default=-2.0) <= scores[-1] + 2e-3


def _assert_facet(buckets: list[tuple[str, int]], others: int, products: list[Product], field: str) -> None:
    size = {"brand": 2, "category": 3}.get(field, 10)
    counts = Counter(value for product in products for value in _values(product, field))
    assert buckets == sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
    shown = {value for value, _ in buckets}
    assert others == sum(bool(values) and not shown & set(values) for values in (_values(product, field) for product in products))


def _sort_key(product: Product, sort: tuple[SortKey, ...]) -> tuple[object, ...]:
    key: list[object] = []
    for one in sort:
        value = getattr(product, one.field)
        key.append((value is None, 0 if value is None else -value if one.descending else value))
    return (*key, product.id)
