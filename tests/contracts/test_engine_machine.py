"""Random walks over the truth side of every engine. `scripts/walk_engines.py` takes many more and longer ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.embedded import EmbeddedEngine
from tests.contracts.conftest import empty
from tests.contracts.engine_cases import MAX_ATTEMPTS, RETRY_PAUSE, Clock
from tests.contracts.engine_machine import EngineMachine
from tests.servers import chosen_engines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a walk that fails is shortened for minutes
LONG = settings(max_examples=50, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHORT = settings(LONG, max_examples=6, stateful_step_count=25)


@pytest.fixture(scope="module", autouse=True)
def walked_on(installation: Callable[[str], Server]) -> Iterator[None]:
    """A machine makes its engines itself, once per walk."""
    ServerMachine.installation = installation
    yield


class EmbeddedMachine(EngineMachine):
    def make_engine(self, clock: Clock) -> Engine:
        self.home = Path(tempfile.mkdtemp(prefix="engine-machine-"))
        return EmbeddedEngine(self.home, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, index=False, clock=clock)

    def teardown(self) -> None:
        self.engine.close()
        shutil.rmtree(self.home)


class ServerMachine(EngineMachine):
    installation: ClassVar[Callable[[str], Server]]
    product: ClassVar[str]

    def make_engine(self, clock: Clock) -> Engine:
        server = type(self).installation(self.product)
        empty(server)
        return ClusterEngine(server, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, clock=clock)


class OpenSearchMachine(ServerMachine):
    product = "opensearch"


class ElasticsearchMachine(ServerMachine):
    product = "elasticsearch"


if "embedded" in chosen_engines():
    TestEmbeddedMachine = EmbeddedMachine.TestCase
    TestEmbeddedMachine.settings = LONG

TestOpenSearchMachine = pytest.mark.engine("opensearch")(OpenSearchMachine.TestCase)
TestOpenSearchMachine.settings = SHORT

TestElasticsearchMachine = pytest.mark.engine("elasticsearch")(ElasticsearchMachine.TestCase)
TestElasticsearchMachine.settings = SHORT
