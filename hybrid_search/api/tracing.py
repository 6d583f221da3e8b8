"""Spans for requests, by OpenTelemetry's own Flask instrumentation, where tracing was started before the application was made."""

from __future__ import annotations

from typing import Any

from flask import Flask

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

    instrument: Any = FlaskInstrumentor().instrument_app  # it ships without types
    instrument(app, tracer_provider=tracers, excluded_urls=UNTRACED, request_hook=_without_query)


def _without_query(span: Any, environ: Any) -> None:
    attributes = span.attributes if span.is_recording() else {}
    for name in ADDRESSES:
        if name in attributes:
            span.set_attribute(name, attributes.get("http.route", ""))
