"""The same catalogue in all engines gives the same answers: 1,200 real products, random vectors, many plans.

Exact: neighbours in score and order, filters, totals, facets, sort, browsing. To 1e-4: BM25, after the servers' segments are merged.
"""

from __future__ import annotations

import itertools
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.engines.base import Engine, ProductWrite
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.evaluation.sets import read_products
from hybrid_search.evaluation.settling import settle
from hybrid_search.product import Product
from hybrid_search.types import (
    AllLeg,
    CategoryPrefix,
    EngineReply,
    Exists,
    FacetRequest,
    Filter,
    FloatMatrix,
    KeywordLeg,
    Part,
    Range,
    SearchPlan,
    SortKey,
    Space,
    Terms,
    VectorLeg,
    VectorWrite,
)

OPENERS: Mapping[str, Callable[..., ClusterEngine]] = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
TEXT = Space("text", 1, 48, "text", "model", {"text": "model"})
IMAGE = Space("image", 1, 32, "image", "model", {"image": "model"})
SIZE = 1_200
WEIGHTS = {"title": 1.0, "brand": 0.5, "category": 0.25, "description": 0.3, "attributes": 0.1, "all": 1.0}
QUERIES = (
    "wireless mouse",
    "usb cable 2 m",
    "laptop 15.6 inch",
    "toner cartridge black",
    "the monitor",
    "hp",
    "50/125 fibre 50/125",
    "zzz",
)


def _units(count: int, dim: int, rng: np.random.Generator) -> FloatMatrix:
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def catalogue(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Product]:
    """Real words, brands, categories and attributes; prices, ranks and dates drawn."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("icecat")
    with tarfile.open(data_dir / "icecat.tar.gz") as archive, (folder / "products.jsonl").open("wb") as kept:
        member = archive.extractfile("icecat/products.jsonl")
        assert member is not None
        kept.writelines(itertools.islice(member, SIZE))
    products = read_products(folder)[0]
    return [
        product.model_copy(
            update={
                "price": None if rng.random() < 0.2 else float(rng.integers(1, 400)) / 4,
                "rating": None if rng.random() < 0.5 else float(rng.integers(0, 11)) / 2,
                "popularity": float(rng.integers(0, 50)),
                "availability": str(rng.choice(["in_stock", "out_of_stock", "preorder"])),
            }
        )
        for product in products
    ]


def _fill(engine: Engine, catalogue: list[Product]) -> None:
    rng = np.random.default_rng(6)
    text = _units(SIZE, TEXT.dim, rng)
    pictures = [_units(int(rng.integers(1, 4)), IMAGE.dim, rng) for _ in range(SIZE)]
    parts: list[dict[Part, tuple[str, ...]]] = [
        {"text": (f"t{n}",), "image": tuple(f"i{n}.{at}" for at in range(len(rows)))} for n, rows in enumerate(pictures)
    ]
    engine.add_space(TEXT)
    engine.add_space(IMAGE)
    for start in range(0, SIZE, 400):
        numbers = range(start, start + 400)
        results = engine.put([ProductWrite(catalogue[n], parts[n]) for n in numbers])
        engine.write_vectors([VectorWrite(catalogue[n].id, TEXT.key, parts[n]["text"], text[n][None]) for n in numbers])
        engine.write_vectors([VectorWrite(catalogue[n].id, IMAGE.key, parts[n]["image"], pictures[n]) for n in numbers])
        assert {result.result for result in results} == {"created"}
    engine.refresh(120.0)


@pytest.fixture(scope="module")
def embedded(catalogue: list[Product], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine(tmp_path_factory.mktemp("embedded"), vector_dtype="float32")
    _fill(made, catalogue)
    yield made
    made.close()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in OPENERS])
def server(request: pytest.FixtureRequest, catalogue: list[Product]) -> Iterator[ClusterEngine]:
    url = request.getfixturevalue(f"{request.param}_url")
    made = OPENERS[request.param](url, prefix=f"congruence-{uuid.uuid4().hex[:8]}")
    _fill(made, catalogue)
    settle(made)  # writing vectors left an older version of each product
    yield made
    remove_all(made.server.transport, made.server.indices)
    made.close()


def _filters(catalogue: list[Product]) -> list[tuple[Filter, ...]]:
    brand = max({p.brand for p in catalogue}, key=lambda name: sum(p.brand == name for p in catalogue))
    product = next(p for p in catalogue if p.attributes and p.category)
    name, values = next(iter(product.attributes.items()))
    return [
        (),
        (Terms("brand", (brand,)),),
        (Terms("brand", (brand,), exclude=True), Range("price", gte=10, lt=60.25)),
        (CategoryPrefix(product.category[:1]),),
        (Terms(f"attributes.{name}", values),),
        (Exists(f"attributes.{name}", exclude=True), Exists("rating")),
        (Range("popularity", gt=25), Terms("availability", ("in_stock", "preorder"))),
        (Terms("id", tuple(p.id for p in catalogue[:40])),),
    ]


def _facets(catalogue: list[Product]) -> tuple[FacetRequest, ...]:
    names = sorted({name for p in catalogue[:300] for name in p.attributes})[:3]
    return (
        FacetRequest("brand", 8),
        FacetRequest("category", 6),
        FacetRequest("availability"),
        FacetRequest("price", edges=(5.0, 20.0, 60.0)),
        *(FacetRequest(f"attributes.{name}", 3) for name in names),
    )


def _same(ours: EngineReply, theirs: EngineReply) -> None:
    assert theirs.failed == {}
    assert theirs.total == ours.total
    assert theirs.facets == ours.facets
    assert theirs.sorted_ids == ours.sorted_ids


def _same_hits(ours: EngineReply, theirs: EngineReply, leg: str, *, rel: float) -> None:
    """Equal scores, in equal order but for products whose scores differ by no more than rounding."""
    mine, other = ours.legs[leg], theirs.legs[leg]
    assert len(other.ids) == len(mine.ids)
    assert other.scores == pytest.approx(mine.scores, rel=rel, abs=1e-6)
    score = dict(zip(mine.ids, mine.scores.tolist(), strict=True))
    last = float(mine.scores[-1]) if mine.ids else 0.0
    for id_, found in zip(other.ids, other.scores.tolist(), strict=True):
        assert score.get(id_, last) == pytest.approx(found, rel=rel, abs=1e-6)


@pytest.mark.parametrize("number", range(8))
def test_words(embedded: EmbeddedEngine, server: ClusterEngine, catalogue: list[Product], number: int) -> None:
    leg = KeywordLeg("bm25", QUERIES[number], WEIGHTS, "2<67%", 50)
    for filters in _filters(catalogue):
        plan = SearchPlan((leg,), filters, _facets(catalogue), (SortKey("price", True),), 30, (catalogue[7].id,))
        ours, theirs = embedded.search(plan), server.search(plan)
        _same(ours, theirs)
        _same_hits(ours, theirs, "bm25", rel=1e-4)


@pytest.mark.parametrize("space", [TEXT, IMAGE], ids=["pooled", "nested"])
def test_neighbours(embedded: EmbeddedEngine, server: ClusterEngine, catalogue: list[Product], space: Space) -> None:
    queries = _units(6, space.dim, np.random.default_rng(7))
    for query in queries:
        for filters in _filters(catalogue):
            for floor in (-1.0, 0.2):
                plan = SearchPlan((VectorLeg("knn", space.key, query, 25, floor),), filters, _facets(catalogue))
                ours, theirs = embedded.search(plan), server.search(plan)
                assert theirs.legs["knn"].ids == ours.legs["knn"].ids
                assert theirs.legs["knn"].scores == pytest.approx(ours.legs["knn"].scores, abs=2e-6)
                _same(ours, theirs)


def test_both_kinds_of_legs_make_one_match_set(embedded: EmbeddedEngine, server: ClusterEngine, catalogue: list[Product]) -> None:
    rng = np.random.default_rng(8)
    for text in QUERIES:
        near = [VectorLeg(space.name, space.key, _units(1, space.dim, rng)[0], 20) for space in (TEXT, IMAGE)]
        for filters in _filters(catalogue)[:4]:
            plan = SearchPlan(
                (KeywordLeg("bm25", text, WEIGHTS, "1", 20), *near), filters, _facets(catalogue), (SortKey("rating", True),), 40
            )
            ours, theirs = embedded.search(plan), server.search(plan)
            _same(ours, theirs)
            assert [theirs.legs[leg.name].ids for leg in near] == [ours.legs[leg.name].ids for leg in near]


def test_browsing(embedded: EmbeddedEngine, server: ClusterEngine, catalogue: list[Product]) -> None:
    for filters in _filters(catalogue):
        plan = SearchPlan((AllLeg("all", 200),), filters, _facets(catalogue), (SortKey("rating"), SortKey("popularity", True)), 500)
        ours, theirs = embedded.search(plan), server.search(plan)
        _same(ours, theirs)
        assert theirs.legs["all"].ids == ours.legs["all"].ids
        assert theirs.legs["all"].scores.tolist() == ours.legs["all"].scores.tolist()
