"""What searches go by is read from the search server once for all searches that wait for it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.transport import Reply, Transport
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.types import KeywordLeg, SearchPlan
from hybrid_search.waiting import at_most
from tests.contracts.engine_cases import TEXT, write

OPENERS = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
PLAN = SearchPlan((KeywordLeg("bm25", "thing", {"title": 1.0}, "1", 10),), timeout=10.0)
SLOW = 0.3
"""Seconds that each reading takes: all searches are there by then."""


@dataclass
class Slow:
    """A transport that counts what is asked, to a server whose news take their time."""

    inner: Transport
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        self.asked[path.rpartition("/")[2]] += 1
        if path.endswith(("/_doc/spaces", "/_count")):
            time.sleep(SLOW)
        return self.inner.request(method, path, body, **options)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in OPENERS])
def engine(request: pytest.FixtureRequest) -> Iterator[ClusterEngine]:
    made = OPENERS[request.param](request.getfixturevalue(f"{request.param}_url"), prefix=f"news-{uuid.uuid4().hex[:8]}")
    yield made
    remove_all(made.server.transport, made.server.indices)
    made.close()


def asked_by_searches(engine: ClusterEngine, number: int) -> dict[str, int]:
    """What searches at the same moment ask of the server, by the last part of the path; each finds the product."""
    found: list[tuple[str, ...]] = []
    server, reached = engine.server, engine.server.transport
    server.transport = slow = Slow(reached)
    threads = [threading.Thread(target=lambda: found.append(engine.search(PLAN).legs["bm25"].ids)) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.transport = reached
    assert found == [("a",)] * number
    return dict(slow.asked)


def test_searches_that_wait_for_the_same_news_read_it_once(engine: ClusterEngine) -> None:
    engine.put([write("a")], refresh=True)
    assert asked_by_searches(engine, 4) == {"spaces": 1, "_count": 1, "_msearch": 4}, "nothing was known"
    engine.refresh()
    assert asked_by_searches(engine, 4) == {"spaces": 1, "_count": 1, "_msearch": 4}, "what was known was old"
    assert asked_by_searches(engine, 4) == {"_msearch": 4}


def test_products_and_vectors_are_read_for_a_search_by_what_searches_know(engine: ClusterEngine) -> None:
    engine.put([write("a")], refresh=True)
    engine.add_space(TEXT)
    engine.search(PLAN)
    server, reached = engine.server, engine.server.transport
    server.transport = slow = Slow(reached)
    with at_most(5.0):
        (document,) = engine.fetch(["a"])
        engine.read_vectors(TEXT.key, ["a"])
    assert document is not None
    assert set(document.ledger) == {TEXT.key}
    assert slow.asked == {"_mget": 2}
    server.transport = reached
