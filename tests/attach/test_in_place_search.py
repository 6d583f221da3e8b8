"""Filters, facets, sort and words on a shop's own fields; what they cannot answer is an error that says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid_search.attach.config import load_config
from hybrid_search.attach.connect import find_product
from hybrid_search.attach.in_place import InPlaceEngine, attach_in_place
from hybrid_search.attach.in_place_search import TheirFields
from hybrid_search.attach.source import describe
from hybrid_search.errors import QueryError
from hybrid_search.settings import load_settings
from hybrid_search.types import AllLeg, Bucket, CategoryPrefix, Exists, FacetRequest, KeywordLeg, Range, SearchPlan, SortKey, Terms
from tests.attach.attached import LinkedPictures
from tests.attach.conftest import Server

FIELDS: dict[str, Any] = {
    "name": {"type": "text", "analyzer": "german"},
    "text": {"type": "text", "analyzer": "german"},
    "maker": {"type": "keyword"},
    "path": {"type": "keyword"},
    "stock": {"type": "keyword"},
    "cents": {"type": "long"},
    "stars": {"type": "integer"},
    "made": {"type": "date"},
    "colour": {"type": "keyword"},
    "ean": {"type": "long"},
    "cloth": {"type": "text"},
    "lang": {"type": "keyword"},
    "small": {"type": "byte"},
    "whole": {"type": "unsigned_long"},
    "part": {"type": "float"},
    "half": {"type": "half_float"},
    "eco": {"type": "boolean"},
    "host": {"type": "ip"},
    "tested": {"type": "date", "format": "dd.MM.yyyy"},
    "seen": {"type": "date_nanos"},
    "offers": {"type": "nested", "properties": {"currency": {"type": "keyword"}}},
}
ATTACH = """
[source]
url = "{url}"
index = "{index}"
engine = "{product}"
[fields]
id = "_id"
title = "name"
description = "text"
brand = "maker"
category = "path"
availability = "stock"
price = "cents"
rating = "stars"
created = "made"
gtin = "ean"
material = "cloth"
language = "lang"
currency = "offers.currency"
size = ["small", "large"]
"attributes.Farbe" = "colour"
"attributes.small" = "small"
"attributes.whole" = "whole"
"attributes.part" = "part"
"attributes.half" = "half"
"attributes.eco" = "eco"
"attributes.host" = "host"
"attributes.tested" = "tested"
"attributes.seen" = "seen"
[separators]
category = "/"
language = ","
[scales]
price = 0.01
rating = 0.05
[availability]
lieferbar = "in_stock"
lager = "in_stock"
weg = "out_of_stock"
"""
PATHS = ("Heim / Küche", "Heim/Küche/Kessel (2+)", "Garten", "Heim / Küchenbank")
STOCK = ("lieferbar", "weg", "lager", None, "lieferbar", "weg", "lager", None, "In Stock", "kommt")
EXACT: dict[str, Any] = {
    "small": 7,
    "whole": 9223372036854775807,
    "part": 0.1,
    "half": 1.5,
    "eco": True,
    "host": "10.0.0.1",
    "tested": "01.03.2026",
    "seen": "2026-03-01T12:00:00.123Z",
}
WORDS = ("roter Kessel", "roter Stuhl", "blauer Kessel", "Gartenstuhl")


def document(n: int) -> dict[str, Any]:
    body = {
        "name": WORDS[n % 4],
        "text": "für den Garten" if n % 2 else "für die Küche",
        "maker": f"m{n % 3}",
        "path": PATHS[n % 4],
        "cents": 1_999 + n,
        "stars": 10 * n,
        "made": f"2026-03-{n + 1:02d}T00:00:00Z",
        "colour": ["rot", "blau"] if n == 5 else ["rot"],
        "ean": 40_063_813 + n,
        "cloth": "Wolle",
        "lang": "de",
        "offers": [{"currency": "EUR"}],
    }
    return body | ({"stock": STOCK[n]} if STOCK[n] else {}) | (EXACT if n == 2 else {})


IDS = [f"d{n}" for n in range(10)]


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[InPlaceEngine]:
    index = f"{server.prefix}-laden"
    settings = {"number_of_shards": 1, "number_of_replicas": 0} | ({"knn": True} if server.product == "opensearch" else {})
    known = (
        FIELDS if server.product == "opensearch" else FIELDS | {"whole": {"type": "long"}}
    )  # Elasticsearch's open part has no unsigned_long
    server.transport.request("PUT", f"/{index}", {"settings": {"index": settings}, "mappings": {"dynamic": "strict", "properties": known}})
    server.write(index, [(id_, document(n)) for n, id_ in enumerate(IDS)])
    path = tmp_path / "attach.toml"
    path.write_text(ATTACH.format(url=server.url, index=index, product=server.product))
    transport, _ = find_product(load_settings(), server.url)
    made = attach_in_place(transport, load_config(path), LinkedPictures(), prefix=f"{server.prefix}-ours")
    made.notice()
    made.refresh()
    yield made
    made.close()


PLAN = SearchPlan((AllLeg("all", 100),))


def found(engine: InPlaceEngine, *filters: Any) -> list[int]:
    reply = engine.search(replace(PLAN, filters=filters))
    assert reply.failed == {}
    assert reply.total == len(reply.legs["all"].ids)
    return [IDS.index(id_) for id_ in reply.legs["all"].ids]


def those(condition: Any) -> list[int]:
    return [n for n in range(len(IDS)) if condition(n)]


def test_filters_go_by_their_fields(engine: InPlaceEngine) -> None:
    assert found(engine) == those(lambda n: True)  # popularity, that nothing of theirs tells, is no error
    assert found(engine, Terms("brand", ("m1",))) == [1, 4, 7]
    assert found(engine, Terms("brand", ("m1",), exclude=True)) == those(lambda n: n % 3 != 1)
    assert found(engine, Terms("attributes.Farbe", ("blau",))) == [5]
    assert found(engine, Terms("availability", ("in_stock",))) == [0, 2, 3, 4, 6, 7, 8]  # who tells nothing is in stock
    assert found(engine, Terms("availability", ("out_of_stock",))) == [1, 5]
    assert found(engine, Terms("availability", ("in_stock",), exclude=True)) == [1, 5, 9]
    assert found(engine, Terms("availability", ("preorder",))) == []
    assert found(engine, Terms("availability", ("kommt",))) == [9]  # a word that nothing translates, as its facet shows it
    assert found(engine, Terms("availability", ("kommt", "out_of_stock"), exclude=True)) == [0, 2, 3, 4, 6, 7, 8]
    assert found(engine, Terms("gtin", ("40063815", "none"))) == [2]
    assert found(engine, Terms("id", ("d3", "nobody"))) == [3]
    assert found(engine, Exists("availability")) == those(lambda n: True)
    assert found(engine, Terms("category", ("Heim / Küche",))) == [0, 4, 8]
    assert found(engine, CategoryPrefix(("Heim", "Küche"))) == those(lambda n: n % 4 in (0, 1))
    assert found(engine, CategoryPrefix(("Heim", "Küche", "Kessel (2+)"))) == [1, 5, 9]
    assert found(engine, CategoryPrefix(("Heim",))) == those(lambda n: n % 4 != 2)
    assert found(engine, Range("price", gte=20.01, lte=20.03)) == [2, 3, 4]
    assert found(engine, Range("rating", gt=4.0)) == [9]  # 90 of 100 stand for 4.5
    assert found(engine, Range("created", gte=1_772_668_800.0)) == those(lambda n: n >= 4)  # 2026-03-05


def test_facets_and_sort_go_by_their_fields(engine: InPlaceEngine) -> None:
    def facet(field: str, size: int = 10, edges: tuple[float, ...] = ()) -> tuple[dict[str, int], int]:
        (told,) = engine.search(replace(PLAN, facets=(FacetRequest(field, size, edges),))).facets
        return {bucket.value: bucket.count for bucket in told.buckets}, told.others

    assert facet("brand", 1) == ({"m0": 4}, 6)
    assert facet("category") == (dict(Counter(PATHS[n % 4] for n in range(10))), 0)
    assert facet("availability") == ({"in_stock": 7, "out_of_stock": 2, "kommt": 1}, 0)
    assert facet("availability", 1) == ({"in_stock": 7}, 3)
    assert facet("attributes.Farbe", 1) == ({"rot": 10}, 0)
    assert facet("gtin", 1) == ({"40063813": 1}, 9)
    assert facet("price", edges=(20.01, 20.03)) == ({"*-20.01": 2, "20.01-20.03": 2, "20.03-*": 6}, 0)
    (made,) = engine.search(replace(PLAN, facets=(FacetRequest("created", edges=(1_772_668_800.0,)),))).facets
    assert made.buckets == (
        Bucket("*-1.77267e+09", 4, None, 1_772_668_800.0),
        Bucket("1.77267e+09-*", 6, 1_772_668_800.0, None),
    )
    reply = engine.search(replace(PLAN, sort=(SortKey("price", descending=True),), sort_limit=3))
    assert reply.sorted_ids == ("d9", "d8", "d7")
    reply = engine.search(replace(PLAN, sort=(SortKey("created"),), sort_limit=2))
    assert reply.sorted_ids == ("d0", "d1")


HELD = {
    "small": ("7", ["200", "-129", "7.5", "x", "1e1"]),
    "whole": ("9223372036854775807", ["18446744073709551616", "1.5"]),
    "part": ("0.10000000149011612", ["1" + "0" * 39, "9" * 400, "nan", "\u0663"]),
    "half": ("1.5", ["65520"]),
    "eco": ("true", ["yes", "1"]),
    "host": ("10.0.0.1", ["x", "10.0.0.0/255.0.0.0", "10.0.0.1 "]),
    "tested": ("2026-03-01T00:00:00.000Z", ["01.13.2026", "x", "2026-02-30"]),
    "seen": ("2026-03-01T12:00:00.123Z", ["1960-01-01", "2300-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"]),
}


@pytest.mark.parametrize("name", HELD)
def test_a_facets_value_is_found_and_what_a_type_cannot_hold_is_nowhere(engine: InPlaceEngine, name: str) -> None:
    field, (value, others) = f"attributes.{name}", HELD[name]
    (told,) = engine.search(replace(PLAN, facets=(FacetRequest(field),))).facets
    assert [(bucket.value, bucket.count) for bucket in told.buckets] == [(value, 1)]
    assert found(engine, Terms(field, (value,))) == [2]
    assert found(engine, Terms(field, (*others, value))) == [2]
    for other in others:
        assert found(engine, Terms(field, (other,))) == [], other
    assert found(engine, Terms("gtin", ("9" * 24,))) == []


@pytest.mark.parametrize("separators", [{}, {"category": "/"}])
@pytest.mark.parametrize("told", ["ean", "eco", "tested", "host"])
def test_a_category_that_is_no_text_is_searched_by_its_values(
    engine: InPlaceEngine, server: Server, tmp_path: Path, told: str, separators: dict[str, str]
) -> None:
    config = load_config(tmp_path / "attach.toml")
    config = config.model_copy(update={"fields": {**config.fields, "category": (told,)}, "separators": separators})
    fields = TheirFields(describe(server.transport, config.source.index), config)
    value = {"ean": "40063815", "eco": "true", "tested": "2026-03-01", "host": "10.0.0.1"}[told]
    for path, expected in (((value,), ["d2"]), (("x",), []), ((value, "x"), [])):
        hits = server.transport.request("POST", f"/{config.source.index}/_search", {"query": fields.below(path)}).body["hits"]["hits"]
        assert [hit["_id"] for hit in hits] == expected, path


def test_who_tells_nothing_is_what_the_constants_say(engine: InPlaceEngine, server: Server, tmp_path: Path) -> None:
    config = load_config(tmp_path / "attach.toml").model_copy(update={"constants": {"availability": "sold out"}})
    fields = TheirFields(describe(server.transport, config.source.index), config)
    clause = fields.terms("availability", ["out_of_stock"])
    body = {"query": clause, "aggs": {"a": {"terms": fields.counted("availability")}}}
    found = server.transport.request("POST", f"/{config.source.index}/_search", body).body
    assert sorted(hit["_id"] for hit in found["hits"]["hits"]) == ["d1", "d3", "d5", "d7"]
    assert [(bucket["key"], bucket["doc_count"]) for bucket in found["aggregations"]["a"]["buckets"]] == [("weg", 4)]


def test_a_category_path_longer_than_their_server_takes_is_an_error_that_says_so(engine: InPlaceEngine) -> None:
    with pytest.raises(QueryError, match="category.*too long.*1000"):
        engine.search(replace(PLAN, filters=(CategoryPrefix(("x" * 1_000,)),)))


@pytest.mark.parametrize(
    "spelling",
    ["instock", "In Stock", "IN_STOCK", "https://schema.org/InStock", "http://schema.org/instock", "Limited-Availability", " yes "],
)
def test_their_spelling_of_a_state_is_found_as_the_product_shows_it(engine: InPlaceEngine, server: Server, spelling: str) -> None:
    server.write(engine.server.indices.products, [("d1", {**document(1), "stock": spelling})])
    engine.notice()
    engine.refresh()
    (product,) = engine.fetch(["d1"])
    assert product is not None and product.body.get("availability", "in_stock") == "in_stock"
    assert 1 in found(engine, Terms("availability", ("in_stock",)))
    (told,) = engine.search(replace(PLAN, facets=(FacetRequest("availability"),))).facets
    assert {bucket.value: bucket.count for bucket in told.buckets} == {"in_stock": 8, "out_of_stock": 1, "kommt": 1}


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("material", "cloth.*text without a keyword"),
        ("currency", "nested object 'offers'"),
        ("size", "several fields .small, large"),
        ("color", "names no field"),
        ("language", "cut by separators"),
        ("attributes.Form", "names no field"),
    ],
)
@pytest.mark.parametrize("kind", ["filter", "facet"])
def test_what_they_cannot_answer_is_an_error_that_says_why(engine: InPlaceEngine, field: str, why: str, kind: str) -> None:
    plan = replace(PLAN, filters=(Terms(field, ("x",)),)) if kind == "filter" else replace(PLAN, facets=(FacetRequest(field),))
    with pytest.raises(QueryError, match=f"(?s){field}.*{why}.*fields. of the attach file"):
        engine.search(plan)


def test_numbers_they_do_not_have_are_errors_too(engine: InPlaceEngine) -> None:
    with pytest.raises(QueryError, match="rating_count.*names no field"):
        engine.search(replace(PLAN, sort=(SortKey("rating_count"),), sort_limit=3))
    with pytest.raises(QueryError, match="updated.*names no field"):
        engine.search(replace(PLAN, filters=(Range("updated", gte=0.0),)))
    assert {"material", "currency", "size", "color", "language"} < engine.uncountable
    assert engine.uncountable.isdisjoint({"id", "brand", "category", "availability", "gtin"})


@pytest.mark.parametrize(
    ("text", "need", "expected"),
    [
        ("roter Kessel", "1", those(lambda n: n % 4 != 3)),
        ("roter Kessel", "100%", those(lambda n: n % 4 == 0)),
        ("Kessel Küche", "2", those(lambda n: n % 4 in (0, 2))),  # each word in any field
        ("rote Kessel Küche", "-1", those(lambda n: n % 4 in (0, 2))),
        ("rote Kessel xyzzy", "2<67%", those(lambda n: n % 4 == 0)),
        ("the Kessel", "100%", those(lambda n: n % 4 in (0, 2))),
        ("???", "100%", []),
    ],
)
def test_as_many_words_must_match_as_on_an_index_of_ours(engine: InPlaceEngine, text: str, need: str, expected: list[int]) -> None:
    reply = engine.search(SearchPlan((KeywordLeg("bm25", text, {"title": 2.0, "description": 1.0}, need, 100),)))
    assert reply.failed == {}
    assert sorted(reply.legs["bm25"].ids) == [IDS[n] for n in expected]
    assert reply.total == len(expected)


def test_the_number_of_words_that_must_match_changes_no_score(engine: InPlaceEngine) -> None:
    scores = []
    for need in ("1", "2"):
        reply = engine.search(SearchPlan((KeywordLeg("bm25", "roter Kessel", {"title": 2.0, "description": 1.0}, need, 100),)))
        scores.append(dict(zip(reply.legs["bm25"].ids, reply.legs["bm25"].scores.tolist(), strict=True)))
    assert all(scores[0][id_] == pytest.approx(score) for id_, score in scores[1].items())
    assert len(scores[1]) == 3
