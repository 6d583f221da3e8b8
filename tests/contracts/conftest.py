"""Engines under contract, by name: a new one is done when it passes.

A server's indices are made once per process and emptied between tests: making them takes seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.errors import HybridSearchError
from tests.contracts.engine_cases import MAX_ATTEMPTS, RETRY_PAUSE, Clock
from tests.servers import chosen_engines

SERVERS = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
ENGINES = [
    *(["embedded"] if "embedded" in chosen_engines() else []),
    *(pytest.param(name, marks=pytest.mark.engine(name)) for name in SERVERS),
]


def empty(server: Server) -> None:
    """Delete every document of an installation; its mappings stay."""
    held = server.indices
    indices = f"{held.products},{held.chunks},{held.meta},{held.towers}"
    server.transport.request("POST", f"/{indices}/_refresh")
    params = {"refresh": "true", "conflicts": "proceed"}
    server.transport.request("POST", f"/{indices}/_delete_by_query", {"query": {"match_all": {}}}, params=params)


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Server]]:
    """The installation of this process on a server, by product."""
    opened: dict[str, ClusterEngine] = {}
    refused: dict[str, HybridSearchError] = {}

    def get(product: str) -> Server:
        if product in refused:  # told at once for the other tests too
            raise refused[product]
        if product not in opened:
            url = request.getfixturevalue(f"{product}_url")
            try:
                opened[product] = SERVERS[product](url, prefix=f"contract-{uuid.uuid4().hex[:8]}")
            except HybridSearchError as error:
                refused[product] = error
                raise
        return opened[product].server

    yield get
    for engine in opened.values():
        remove_all(engine.server.transport, engine.server.indices)
        engine.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, installation: Callable[[str], Server]) -> Iterator[Engine]:
    """An empty engine on the test's clock; nothing of the embedded engine's truth side needs a search index."""
    if request.param in SERVERS:
        server = installation(request.param)
        empty(server)
        yield ClusterEngine(server, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, clock=clock)
    else:
        made = EmbeddedEngine(tmp_path / "home", max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, index=False, clock=clock)
        yield made
        made.close()
