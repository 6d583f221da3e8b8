"""The search side of the server engines beyond the contract: equal words, the wire, failing shards, recall of the approximate search."""

from __future__ import annotations

import json
import socket
import tarfile
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_search.engines.analysis import terms
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.counting import counting_body, match_set, read_counts
from hybrid_search.engines.cluster.dialect import ProductName, elasticsearch, opensearch
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.filters import filter_clauses
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.legs import MOST_CLAUSES, Searchable, leg_search
from hybrid_search.engines.cluster.mappings import load_mappings
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.engines.cluster.searching import answer
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import Reply, ServerError, Transport
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.engines.opensearch.transport import OpenSearchTransport
from hybrid_search.errors import EngineUnavailable
from hybrid_search.product import Product
from hybrid_search.types import AllLeg, Facet, FacetRequest, KeywordLeg, SearchPlan, Space, Terms, VectorLeg, VectorWrite

OPENERS: Mapping[str, Callable[..., ClusterEngine]] = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
PRODUCTS = [pytest.param(name, marks=pytest.mark.engine(name)) for name in OPENERS]
TEXTS = {"things_zh": 1_000, "grocery_photos": 200, "esci_us": 700, "icecat": 900}
"""Texts taken of each set; the first two are Chinese for the most part."""
SPACE = Space("text", 1, 64, "text", "model", {"text": "model"})


@pytest.fixture(scope="module", params=PRODUCTS)
def engine(request: pytest.FixtureRequest) -> Iterator[ClusterEngine]:
    """2,000 products with random 64-d vectors, in few segments; the approximate search serves them."""
    url = request.getfixturevalue(f"{request.param}_url")
    made = OPENERS[request.param](url, prefix=f"search-{uuid.uuid4().hex[:8]}", knn_exact_up_to=0)
    made.add_space(SPACE)
    for start in range(0, len(VECTORS), 500):
        numbers = range(start, start + 500)
        made.put([ProductWrite(Product(id=f"p{n:04}", title=f"thing {n % 7}", brand=f"b{n % 3}"), {"text": (f"t{n}",)}) for n in numbers])
        made.write_vectors([VectorWrite(f"p{n:04}", SPACE.key, (f"t{n}",), VECTORS[n][None]) for n in numbers])
    made.refresh()
    yield made
    remove_all(made.server.transport, made.server.indices)
    made.close()


def _units(count: int, dim: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


VECTORS = _units(2_000, SPACE.dim, 1)


# --- words -----------------------------------------------------------------------------------------------------------


def _texts(data_dir: Path) -> list[str]:
    found: list[str] = []
    for name, most in TEXTS.items():
        with tarfile.open(data_dir / f"{name}.tar.gz") as archive:
            members = [archive.extractfile(f"{name}/{file}") for file in ("products.jsonl", "queries.dev.jsonl")]
            records = [json.loads(line) for member in members if member for line in member.read().decode().split("\n") if line]
        texts = dict.fromkeys(
            value for one in records for key in ("title", "text", "description") if isinstance(value := one.get(key), str)
        )
        # half of the English ones with other than ASCII characters: there the two could differ
        ranked = sorted(texts, key=lambda text: (text.isascii(), len(text))) if most < 1_000 else list(texts)
        found += ranked[: most // 2] + ranked[-(most // 2) :] if len(ranked) > most else ranked
    return [text for text in dict.fromkeys(found) if text]


def test_both_servers_cut_real_texts_as_we_do(engine: ClusterEngine, data_dir: Path) -> None:
    texts = _texts(data_dir)
    assert len(texts) >= 2_000
    assert sum(any("\u4e00" <= char <= "\u9fff" for char in text) for text in texts) >= 400
    differing = [text for text in texts if _server_terms(engine, text) != terms(text)]
    assert differing == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Size:Small \u00bd\u2033 of\u00adfice \ufefftop's", ["size", "small", "1", "2", "offic", "top"]),
        ("adding ads erring \U0001f600 1\ufe0f\u20e3", ["add", "ad", "err", "1"]),
        (
            "\uff8a\uff9e\uff9d\uff84\uff9e caf\u0065\u0301 \u0130",
            ["\u30d0", "\u30d0\u30f3", "\u30f3", "\u30f3\u30c9", "\u30c9", "caf\u00e9", "i"],
        ),
    ],
)
def test_words_that_once_differed(engine: ClusterEngine, text: str, expected: list[str]) -> None:
    assert _server_terms(engine, text) == terms(text) == expected


def _server_terms(engine: ClusterEngine, text: str) -> list[str]:
    reply = engine.server.transport.request("POST", f"/{engine.server.indices.products}/_analyze", {"analyzer": "shop_text", "text": text})
    return [token["token"] for token in reply.body["tokens"]]


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
def test_the_analysis_files_are_what_the_script_writes(product: str) -> None:
    """Where Python knows another version of Unicode, only the number of lines may differ."""
    from scripts.write_text_analysis import text_analysis

    written = load_mappings(product, "p")["text-analysis"].body  # type: ignore[arg-type]
    if written["_meta"]["unicode"] == unicodedata.unidata_version:
        assert written == text_analysis()


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_the_graph_finds_nearly_all_neighbours(engine: ClusterEngine) -> None:
    queries = _units(50, SPACE.dim, 2)
    found = [set(engine.search(SearchPlan((VectorLeg("knn", SPACE.key, query, 10),))).legs["knn"].ids) for query in queries]
    best = [{f"p{n:04}" for n in np.argsort(-(VECTORS @ query))[:10]} for query in queries]
    recall = float(np.mean([len(ours & truth) / 10 for ours, truth in zip(found, best, strict=True)]))
    print(f"recall@10 {engine.name}: {recall:.4f}")
    assert recall >= 0.95


def test_the_graph_searches_inside_the_filter(engine: ClusterEngine) -> None:
    (query,) = _units(1, SPACE.dim, 3)
    reply = engine.search(SearchPlan((VectorLeg("knn", SPACE.key, query, 10),), (Terms("brand", ("b1",)),)))
    best = [n for n in np.argsort(-(VECTORS @ query)) if n % 3 == 1][:10]
    assert reply.legs["knn"].ids == tuple(f"p{n:04}" for n in best)
    assert reply.legs["knn"].scores == pytest.approx(VECTORS[best] @ query, abs=1e-5)
    assert reply.total == 10


# --- requests and answers --------------------------------------------------------------------------------------------


class Wire:
    """A transport that keeps what passes; ``spoil`` may change an answer on its way."""

    def __init__(self, inner: Transport, spoil: Callable[[int, Any], Any] = lambda number, body: body) -> None:
        self.url = inner.url
        self.inner = inner
        self.spoil = spoil
        self.sent: list[bytes] = []
        self.replies: list[Any] = []

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        self.sent.append(body)
        reply = self.inner.request(method, path, body, **options)
        self.replies.append(reply.body)
        return Reply(reply.status, self.spoil(len(self.sent), reply.body))

    def close(self) -> None: ...


QUERY = _units(1, SPACE.dim, 4)[0]
PLAN = SearchPlan(
    (KeywordLeg("bm25", "thing 3", {"title": 1.0, "all": 0.5}, "100%", 10), VectorLeg("knn", SPACE.key, QUERY, 10)),
    facets=(FacetRequest("brand"),),
)


def _ask(engine: ClusterEngine, wire: Wire, plan: SearchPlan = PLAN, *, shards: int = 1) -> Any:
    searchable = Searchable(engine.server.indices.products, {SPACE.key: (SPACE, SPACE.key)}, len(VECTORS), shards, 0)
    return answer(wire, engine.server.dialect, searchable, plan, 0)


def test_a_search_is_one_request_and_no_vector_comes_back(engine: ClusterEngine) -> None:
    wire = Wire(engine.server.transport)
    reply = _ask(engine, wire)
    assert reply.legs.keys() == {"bm25", "knn"} and not reply.failed
    assert len(wire.sent) == 1
    answered = json.dumps(wire.replies)
    assert "vec_" not in answered and "_source" not in answered
    assert len(answered) < 4_000


def test_on_several_shards_the_match_set_is_counted_from_the_hits(engine: ClusterEngine) -> None:
    wire = Wire(engine.server.transport)
    assert _ask(engine, wire, shards=3).total == _ask(engine, Wire(engine.server.transport)).total
    assert len(wire.sent) == 2


def test_a_failing_shard_is_asked_once_more(engine: ClusterEngine) -> None:
    def first(number: int, body: Any) -> Any:
        if number == 1:
            body["responses"][1] |= {
                "_shards": {"total": 2, "failed": 1, "failures": [{"reason": {"type": "node_gone", "reason": "left"}}]}
            }
        return body

    wire = Wire(engine.server.transport, first)
    reply = _ask(engine, wire)
    assert (len(wire.sent), reply.failed, len(reply.legs["knn"].ids)) == (2, {}, 10)


def test_a_leg_that_keeps_failing_is_told_and_the_rest_is_counted(engine: ClusterEngine) -> None:
    def always(number: int, body: Any) -> Any:
        spoilt = {1: 1, 2: 0}.get(number)
        if spoilt is not None:
            body["responses"][spoilt] = {"status": 503, "error": {"type": "no_shard", "reason": "all of them are gone"}}
        return body

    reply = _ask(engine, Wire(engine.server.transport, always))
    assert reply.failed == {"knn": "no_shard: all of them are gone"}
    assert (reply.legs.keys(), reply.total, reply.relation) == ({"bm25"}, 286, "eq")


def test_a_server_side_timeout_is_a_failed_leg_not_a_shorter_list(engine: ClusterEngine) -> None:
    def late(_: int, body: Any) -> Any:
        for one in body["responses"]:
            one["timed_out"] = True
        return body

    reply = _ask(engine, Wire(engine.server.transport, late))
    assert (reply.legs, reply.relation) == ({}, "gte")
    assert all(reason.startswith("timeout:") for reason in reply.failed.values())


def test_nothing_answered_is_unavailable(engine: ClusterEngine) -> None:
    def broken(_: int, body: Any) -> Any:
        return {"responses": [{"status": 500, "error": {"type": "broken", "reason": "no"}} for _ in body["responses"]]}

    with pytest.raises(EngineUnavailable, match="broken: no"):
        _ask(engine, Wire(engine.server.transport, broken))


def test_a_body_that_the_server_cannot_read_fails_alone(engine: ClusterEngine) -> None:
    """The other search of the same ``_msearch`` is answered."""
    from hybrid_search.engines.cluster.replies import Searches

    searches = Searches(engine.server.transport, engine.server.indices.products, None)
    bad, good = searches.run([{"query": {"no_such_query": {}}}, {"query": {"match_all": {}}, "size": 0, "track_total_hits": True}])
    assert "no_such_query" in bad.failed
    assert (good.failed, good.body["hits"]["total"]["value"]) == ("", len(VECTORS))


def test_a_query_of_very_many_words_is_answered(engine: ClusterEngine) -> None:
    text = " ".join(f"w{n}" for n in range(3_000))
    fields = {"title": 1.0, "all": 1.0, "brand": 1.0}
    reply = engine.search(SearchPlan((KeywordLeg("bm25", f"thing {text}", fields, "1", 5),), (Terms("brand", ("b1",)),)))
    assert (len(reply.legs["bm25"].ids), reply.failed) == (5, {})
    leg = leg_search(KeywordLeg("bm25", text, fields, "1", 5), [], Searchable("i", {}, 0, 1, 0), engine.server.dialect)
    assert len(leg.matches["bool"]["should"]) == MOST_CLAUSES


def test_others_counts_products_with_several_values_once(engine: ClusterEngine) -> None:
    fits = [("x", "y"), ("x", "y"), ("x", "z"), ("y", "z"), ("z",), ()]
    ids = [f"many{n}" for n in range(len(fits))]
    engine.put(
        [ProductWrite(Product(id=i, title="gem", attributes={"fit.*": f}), {}) for i, f in zip(ids, fits, strict=True)], refresh=True
    )
    plan = SearchPlan(
        (AllLeg("all", 0), KeywordLeg("k", "gem", {"title": 1.0}, "1", 5)),
        (Terms("id", tuple(ids)),),
        (FacetRequest("attributes.fit.*", 1),),
    )
    facet = engine.search(plan).facets[0]
    engine.delete(ids, refresh=True)
    assert [(bucket.value, bucket.count) for bucket in facet.buckets] == [("x", 3)]
    assert facet.others == 2


@pytest.mark.parametrize("dialect", [opensearch((3, 5, 0)), elasticsearch((9, 4, 0))], ids=["opensearch", "elasticsearch"])
def test_filters_stand_inside_the_neighbours(dialect: Any) -> None:
    filters = filter_clauses((Terms("brand", ("a",)),), ("x",))
    near = leg_search(VectorLeg("knn", SPACE.key, QUERY, 3), filters, Searchable("i", {SPACE.key: (SPACE, "text_1")}, 10, 1, 100), dialect)
    assert "'brand'" in str(near.matches["knn"])


def test_an_answer_without_anything_is_empty_counts() -> None:
    plan = SearchPlan((), facets=(FacetRequest("brand"), FacetRequest("price", edges=(1.0,))))
    counts = read_counts(plan, {})
    assert (counts.total, counts.facets[0]) == (0, Facet("brand", ()))
    assert [bucket.count for bucket in counts.facets[1].buckets] == [0, 0]
    assert counting_body(plan, match_set([], []), shards=1)["track_total_hits"] is True


def test_a_refusal_that_is_no_wording_is_raised(engine: ClusterEngine) -> None:
    class Refusing(Wire):
        def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
            raise ServerError("forbidden", status=403)

    with pytest.raises(ServerError, match="forbidden"):
        _ask(engine, Refusing(engine.server.transport))


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_index_of_several_shards_counts_k_neighbours_not_k_of_each(request: pytest.FixtureRequest, product: str) -> None:
    url = request.getfixturevalue(f"{product}_url")
    made = OPENERS[product](url, prefix=f"search-{uuid.uuid4().hex[:8]}", shards=3)
    try:
        made.add_space(SPACE)
        made.put([ProductWrite(Product(id=f"p{n}", brand=f"b{n % 2}"), {"text": (f"t{n}",)}) for n in range(60)])
        made.write_vectors([VectorWrite(f"p{n}", SPACE.key, (f"t{n}",), VECTORS[n][None]) for n in range(60)])
        made.refresh()
        reply = made.search(SearchPlan((VectorLeg("knn", SPACE.key, QUERY, 10),), facets=(FacetRequest("brand"),)))
    finally:
        remove_all(made.server.transport, made.server.indices)
        made.close()
    assert reply.legs["knn"].ids == tuple(f"p{n}" for n in np.argsort(-(VECTORS[:60] @ QUERY))[:10])
    assert (reply.total, sum(bucket.count for bucket in reply.facets[0].buckets)) == (10, 10)


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
def test_a_server_that_never_answers_costs_no_more_than_the_deadline(product: ProductName) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        reached = access(product, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=20.0)
        transport = OpenSearchTransport(reached) if product == "opensearch" else ElasticsearchTransport(reached)
        dialect = opensearch((3, 5, 0)) if product == "opensearch" else elasticsearch((9, 4, 0))
        engine = ClusterEngine(Server(transport, dialect, Indices("nowhere")))
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            engine.search(SearchPlan((AllLeg("all", 5),), timeout=0.3))
        assert time.monotonic() - started < 3
        engine.close()
