"""The search side of every engine. (The embedded one passes it with each precision of vectors in ``tests/test_embedded_search.py``.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.embedded import EmbeddedEngine
from tests.contracts.conftest import ENGINES, SERVERS, empty
from tests.contracts.engine_search import SearchContract


def merge(engine: Engine) -> None:
    """One segment without deleted products: until then a server's statistics count them. Closing the index ends its claim on their history."""
    if isinstance(engine, ClusterEngine):
        index = engine.server.indices.products
        for step in ("_flush", "_close", "_open", "_forcemerge"):
            params = {"_open": {"wait_for_active_shards": "1"}, "_forcemerge": {"max_num_segments": "1"}}.get(step)
            engine.server.transport.request("POST", f"/{index}/{step}", params=params)
        engine.refresh()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, installation: Callable[[str], Server]) -> Iterator[Engine]:
    """An empty engine."""
    if request.param in SERVERS:
        server = installation(request.param)
        empty(server)
        yield ClusterEngine(server)
    else:
        made = EmbeddedEngine(tmp_path)
        yield made
        made.close()


class TestSearch(SearchContract):
    @pytest.fixture
    def settle(self) -> Callable[[Engine], None]:
        return merge
