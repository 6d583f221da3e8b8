"""Nearest pictures inside filters, on an index of one's own with nested attributes: term, range, exists, and a filter on those attributes.

What a version cannot do here goes into the version matrix of docs/server-engines.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pytest

from hybrid_search.engines.cluster.dialect import Dialect
from hybrid_search.engines.cluster.indices import greet
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch.transport import OpenSearchTransport

TRANSPORTS = {"opensearch": OpenSearchTransport, "elasticsearch": ElasticsearchTransport}
COUNT, DIM = 300, 16
RNG = np.random.default_rng(9)
PICTURES = [RNG.standard_normal((int(RNG.integers(1, 4)), DIM)).astype(np.float32) for _ in range(COUNT)]
PICTURES = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in PICTURES]
QUERY = PICTURES[0][0]
NESTED_FAILS = ("elasticsearch",)
"""Products whose nearest-neighbour query finds nothing inside a nested one when its filter is nested elsewhere; flat facts work on all."""
FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "term": ({"term": {"brand": "b1"}}, [n for n in range(COUNT) if n % 5 == 1]),
    "range": ({"range": {"price": {"gte": 10, "lt": 60}}}, [n for n in range(COUNT) if 10 <= n < 60]),
    "exists": ({"exists": {"field": "rating"}}, [n for n in range(COUNT) if n % 3 == 0]),
    "flat fact": ({"term": {"facts": "fit\x1fv2"}}, [n for n in range(COUNT) if n % 4 == 2]),
    "nested attribute": (
        {
            "nested": {
                "path": "attributes",
                "query": {"bool": {"filter": [{"term": {"attributes.name": "fit"}}, {"term": {"attributes.value": "v2"}}]}},
            }
        },
        [n for n in range(COUNT) if n % 4 == 2],
    ),
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in TRANSPORTS])
def held(request: pytest.FixtureRequest) -> Iterator[tuple[Transport, Dialect, str]]:
    """A transport, its dialect and the index."""
    transport = TRANSPORTS[request.param](access(request.param, request.getfixturevalue(f"{request.param}_url")))
    dialect = greet(transport, request.param)
    index = f"nested-{uuid.uuid4().hex[:8]}"
    properties = {
        "id": {"type": "keyword"},
        "brand": {"type": "keyword"},
        "price": {"type": "double"},
        "rating": {"type": "double"},
        "facts": {"type": "keyword"},
        "attributes": {"type": "nested", "properties": {"name": {"type": "keyword"}, "value": {"type": "keyword"}}},
        "pictures": dialect.vector_mapping(DIM, "image", "float"),
    }
    settings = {"number_of_shards": 1, "number_of_replicas": 0, **dialect.index_settings}
    transport.request("PUT", f"/{index}", {"settings": settings, "mappings": {"properties": properties}})
    lines: list[bytes] = []
    for n, rows in enumerate(PICTURES):
        product: dict[str, Any] = {
            "id": f"{n:03}",
            "brand": f"b{n % 5}",
            "price": n,
            "pictures": [{"vector": row.tolist()} for row in rows],
        }
        # the same value under another name: both conditions must hold in one nested object
        product["attributes"] = [{"name": "fit", "value": f"v{n % 4}"}, {"name": "sole", "value": "v2"}]
        product["facts"] = [f"fit\x1fv{n % 4}", "sole\x1fv2"]
        product |= {"rating": 4.0} if n % 3 == 0 else {}
        lines += [b'{"index":{}}', orjson.dumps(product)]
    reply = transport.request("POST", f"/{index}/_bulk", b"\n".join((*lines, b"")), params={"refresh": "true"})
    assert not reply.body["errors"]
    yield transport, dialect, index
    transport.request("DELETE", f"/{index}")
    transport.close()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("candidates", [256, 2_000], ids=["graph", "exact"])
def test_pictures_inside_a_filter(held: tuple[Transport, Dialect, str], name: str, candidates: int) -> None:
    transport, dialect, index = held
    clause, allowed = FILTERS[name]
    near = dialect.knn("pictures.vector", QUERY, 10, candidates, [clause])
    query = {"nested": {"path": "pictures", "score_mode": "max", "query": near}}
    body = {"query": query, "size": 10, "sort": [{"_score": "desc"}, {"id": "asc"}], "_source": False}
    reply = transport.request("POST", f"/{index}/_search", orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
    if name == "nested attribute" and dialect.product in NESTED_FAILS:
        assert reply.body["hits"]["hits"] == []  # a version that answers belongs into the matrix of docs/server-engines.md
        return
    best = {n: float((PICTURES[n] @ QUERY).max()) for n in allowed}
    expected = sorted(best, key=lambda n: -best[n])[:10]
    assert [_id(hit["sort"]) for hit in reply.body["hits"]["hits"]] == [f"{n:03}" for n in expected]
    scores = [2 * hit["sort"][0] - 1 for hit in reply.body["hits"]["hits"]]
    assert scores == pytest.approx([best[n] for n in expected], abs=1e-5)


def _id(sort: Sequence[Any]) -> str:
    return str(sort[1])
