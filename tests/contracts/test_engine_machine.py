"""Random walks over the truth side of every engine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hybrid_search.engines.base import Engine
from hybrid_search.engines.embedded import EmbeddedEngine
from tests.contracts.engine_cases import MAX_ATTEMPTS, RETRY_PAUSE, Clock
from tests.contracts.engine_machine import EngineMachine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a walk that fails is shortened for minutes


class EmbeddedMachine(EngineMachine):
    def make_engine(self, clock: Clock) -> Engine:
        self.home = Path(tempfile.mkdtemp(prefix="engine-machine-"))
        return EmbeddedEngine(self.home, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, index=False, clock=clock)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.home)


TestEmbeddedMachine = EmbeddedMachine.TestCase
TestEmbeddedMachine.settings = settings(
    max_examples=50, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
