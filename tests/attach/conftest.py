"""Foreign indexes on real servers, made as their shops would make them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from hybrid_search.attach.connect import find_product
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.settings import load_settings
from tests.attach.shops import COUNT, Shop

PRODUCTS = [pytest.param(product, marks=pytest.mark.engine(product)) for product in ("opensearch", "elasticsearch")]


@dataclass
class Server:
    """A real server; names of indices begin with a prefix of this test's own."""

    product: str
    url: str
    transport: Transport
    prefix: str

    def make(self, shop: Shop, *, count: int = COUNT, name: str = "") -> str:
        """The shop's index with its documents, searchable; returns its name."""
        index = f"{self.prefix}-{name or shop.name}"
        self.transport.request("PUT", f"/{index}", shop.index(self.product))
        self.write(index, shop.documents(count))
        return index

    def write(self, index: str, documents: list[tuple[str, dict[str, Any]]]) -> None:
        """Whole documents, as the shop's own indexer writes them; searchable afterwards."""
        for start in range(0, len(documents), 1_000):
            lines = [orjson.dumps(line) for id_, body in documents[start : start + 1_000] for line in ({"index": {"_id": id_}}, body)]
            reply = self.transport.request("POST", f"/{index}/_bulk", b"\n".join(lines) + b"\n", params={"refresh": "true"}).body
            assert not reply["errors"], reply["items"][0]

    def fingerprint(self, index: str) -> Any:
        """Everything that a write of ours would change: each document with its sequence number, settings, mapping, number of operations."""
        found = self.transport.request("POST", f"/{index}/_search", {"size": 10_000, "seq_no_primary_term": True, "sort": ["_doc"]}).body
        documents = sorted((hit["_id"], hit["_seq_no"], orjson.dumps(hit["_source"])) for hit in found["hits"]["hits"])
        stats = self.transport.request("GET", f"/{index}/_stats/indexing").body["_all"]["primaries"]["indexing"]
        return (documents, self.transport.request("GET", f"/{index}").body, stats["index_total"], stats["delete_total"])


@pytest.fixture(params=PRODUCTS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each product in turn; whatever a test made under the prefix goes afterwards."""
    url = request.getfixturevalue(f"{request.param}_url")
    transport, product = find_product(load_settings(), url)
    made = Server(product, url, transport, f"attachtest-{secrets.token_hex(4)}")
    yield made
    for name in transport.request("GET", f"/{made.prefix}-*", params={"expand_wildcards": "all"}).body:
        transport.request("DELETE", f"/{name}", ignore=(404,))
    transport.close()


Maker = Callable[..., Any]
