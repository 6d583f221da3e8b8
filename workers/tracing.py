"""Spans of tasks, by OpenTelemetry's own Celery instrumentation, in the children that run them.

The API sends its one kind of message with ``carried_context`` instead: the instrumentation never ends the span of a message whose task
is not registered in the sending process, and would leave it open on the thread.
"""

from __future__ import annotations

from hybrid_search.settings import Settings
from hybrid_search.telemetry.traces import provider, start_tracing


def trace_tasks(settings: Settings) -> None:
    """Trace the tasks that this child runs and the messages that they send, where tracing is on. Raises ``SettingsError`` as ``start_tracing``."""
    start_tracing(settings, "hybrid-search-worker")
    tracers = provider()
    if tracers is None:
        return
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    CeleryInstrumentor().instrument(tracer_provider=tracers)  # type: ignore[no-untyped-call]
