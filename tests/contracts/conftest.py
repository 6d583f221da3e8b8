"""Engines under contract, by name: a new one is done when it passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.engines.embedded import EmbeddedEngine
from tests.contracts.engine_cases import MAX_ATTEMPTS, RETRY_PAUSE, Clock

ENGINES = ("embedded",)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Engine]:
    """An empty engine on the test's clock; nothing of the truth side needs a search index."""
    assert request.param == "embedded"
    made = EmbeddedEngine(tmp_path / "home", max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, index=False, clock=clock)
    yield made
    made.close()
