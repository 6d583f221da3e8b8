"""What a search tells about itself as it goes. Some microseconds per search; nothing of the query is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from hybrid_search.telemetry.logs import note
from hybrid_search.telemetry.metrics import DEGRADED, ENGINE_SECONDS, LEG_SECONDS, SEARCH_SECONDS, SEARCHES, SEARCHES_DEGRADED
from hybrid_search.telemetry.traces import span

Reason = Literal["encoder", "engine", "not_embedded", "not_answered"]


@contextmanager
def encoding(leg: str) -> Iterator[None]:
    """Around the making of a leg's query vector."""
    started = time.perf_counter()
    with span(f"encode {leg}"):
        try:
            yield
        finally:
            LEG_SECONDS.labels(leg, "encode").observe(time.perf_counter() - started)


@contextmanager
def asking_engine(request: Literal["search", "fetch"], legs: Sequence[str] = ()) -> Iterator[None]:
    """Around a request to the engine; a search names its ``legs``."""
    started = time.perf_counter()
    with span(f"engine {request}", legs=tuple(legs)):
        try:
            yield
        finally:
            ENGINE_SECONDS.labels(request).observe(time.perf_counter() - started)


def leg_times(seconds: Mapping[str, float]) -> None:
    """The engine's own time by leg, where it tells it."""
    for leg, took in seconds.items():
        LEG_SECONDS.labels(leg, "engine").observe(took)


def leg_left_out(leg: str, reason: Reason) -> None:
    """A leg that this search has to do without."""
    DEGRADED.labels(leg, reason).inc()


def search_answered(by: str, query_id: str, degraded: Sequence[str], seconds: float) -> None:
    """A search is done. ``degraded`` are its ``leg: reason`` lines: the log names the legs, without the reasons' texts."""
    SEARCHES.labels(by).inc()
    SEARCH_SECONDS.observe(seconds)
    legs = [line.partition(":")[0] for line in degraded]
    if legs:
        SEARCHES_DEGRADED.inc()
    note(query_id=query_id, degraded=legs)
