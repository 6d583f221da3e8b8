"""``/metrics``: what Prometheus reads. Counted in this process (the server has one); counts of the engine are asked for when it is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import cast

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.request_ids import route
from hybrid_search.bootstrap import Services
from hybrid_search.engines.base import EngineStatus
from hybrid_search.errors import EngineError
from hybrid_search.telemetry import metrics as m
from hybrid_search.telemetry.scraped import BuildInfo, family

blueprint = Blueprint("metrics", __name__)

EXTENSION = "hybrid_search_metrics"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
EVERY = 1.0
"""Seconds for which an answer of the engine stands."""
PATIENCE = 3.0
"""Seconds that a scrape waits for the engine's counts."""


@blueprint.get("/metrics")
@operation("metrics", "Metrics for Prometheus", "status", replies={200: "text/plain"}, problems=(404,))
def get_metrics() -> Response:
    """In Prometheus' text format, or OpenMetrics where the scraper asks for it. Answered even when the engine is down."""
    registry = current_app.extensions.get(EXTENSION)
    if registry is None:
        raise Problem(404, "Metrics are switched off.", field="metrics", value=False, remedy="Set metrics = true.")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(cast(CollectorRegistry, registry)), content_type=content_type)


def register_metrics(app: Flask, services: Services) -> None:
    """Count every request of ``app``, and have its metrics ready to be read."""
    if not services.settings.metrics:
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(m.Shown(m.REGISTRY, "api"))
    registry.register(ServiceCounts(services))
    registry.register(BuildInfo(services.settings.engine))
    ProcessCollector(registry=registry)
    app.extensions[EXTENSION] = registry

    @app.after_request
    def _count(response: Response) -> Response:
        labels = (request.method if request.method in METHODS else "other", route(), str(response.status_code))
        m.HTTP_REQUESTS.labels(*labels).inc()
        m.HTTP_SECONDS.labels(*labels).observe(time.perf_counter() - g.started)
        return response


class ServiceCounts(Collector):
    """Counts that ``services`` knows already: the engine's status, the control document, the query vectors kept.

    The engine is asked in a thread of its own, at most once in ``every`` seconds, and waited for ``patience`` seconds: a server that
    hangs costs its counts, not the scrape.
    """

    def __init__(self, services: Services, *, every: float = EVERY, patience: float = PATIENCE) -> None:
        self._services = services
        self._every = every
        self._patience = patience
        self._lock = threading.Lock()
        self._asked: _Asked | None = None

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield family(m.ENGINE_UP, {(): float(status is not None)})
        if status is not None:
            yield from _status_families(status)
            version, _ = self._services.search_parts.control.current()
            yield family(m.CONTROL_VERSION, {(): version})
            yield family(m.CONTROL_READABLE, {(): float(self._services.search_parts.control.error is None)})
        hits, misses = self._services.search_parts.query_vector_cache()
        yield family(m.QUERY_VECTOR_CACHE, {("hit",): hits, ("miss",): misses})

    def _status(self) -> EngineStatus | None:
        with self._lock:
            asked = self._asked
            if asked is None or (asked.done.is_set() and time.monotonic() - asked.at >= self._every):
                asked = self._asked = _Asked(self._services)
        asked.done.wait(self._patience)
        return asked.status


class _Asked:
    """One question to the engine, and its answer once ``done``; ``status`` stays ``None`` when it could not tell."""

    def __init__(self, services: Services) -> None:
        self.at = time.monotonic()
        self.done = threading.Event()
        self.status: EngineStatus | None = None
        threading.Thread(target=self._ask, args=(services,), name="metrics", daemon=True).start()

    def _ask(self, services: Services) -> None:
        try:
            self.status = services.engine.status()
        except EngineError:
            self.status = None
        finally:
            self.done.set()


def _status_families(status: EngineStatus) -> Iterator[Metric]:
    yield family(m.PRODUCTS, {(): status.products})
    states: dict[tuple[str, ...], float] = {
        (space, str(state)): count for space, counts in status.states.items() for state, count in counts.items()
    }
    yield family(m.EMBEDDINGS, states)
    yield family(m.CHUNKS, {("queued",): status.queue.queued, ("running",): status.queue.running})
    yield family(m.OLDEST_QUEUED, {(): status.queue.oldest_queued})
    yield family(m.STALEST_RUNNING, {(): status.queue.stalest_running})
    yield family(m.CHANGES, {("acknowledged",): status.seq, ("searchable",): status.indexed_seq})
