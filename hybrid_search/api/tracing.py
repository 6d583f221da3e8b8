"""Spans for requests, by OpenTelemetry's own Flask instrumentation, where tracing was started before the application was made."""

from __future__ import annotations

from typing import Any

from flask import Flask

from hybrid_search.api.request_ids import route
from hybrid_search.telemetry.traces import provider

UNTRACED = "/healthz$,/readyz$,/metrics$,/static/"
ADDRESSES = ("http.target", "http.url", "url.query", "url.path", "url.full")
"""Attributes that would hold query texts and product ids: the route is told instead."""


def register_tracing(app: Flask) -> None:
    """Trace the requests of ``app``; a caller's ``traceparent`` is continued."""
    tracers = provider()
    if tracers is None:
        return
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.trace import get_current_span

    instrument: Any = FlaskInstrumentor().instrument_app  # it ships without types
    instrument(app, tracer_provider=tracers, excluded_urls=UNTRACED)

    @app.before_request  # after the instrumentation's own, which sets the attributes
    def _hide_addresses() -> None:
        span: Any = get_current_span()
        if span.is_recording():
            for name in ADDRESSES:
                if name in span.attributes:
                    span.set_attribute(name, route())
