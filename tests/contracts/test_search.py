"""The search side of every engine. (The embedded one passes it with each precision of vectors in ``tests/test_embedded_search.py``.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.evaluation.settling import settle
from tests.contracts.conftest import ENGINES, SERVERS, empty
from tests.contracts.engine_search import SearchContract


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
    @pytest.fixture(name="settle")
    def settle_fixture(self) -> Callable[[Engine], None]:
        return settle
