"""OpenTelemetry traces, where ``otel_endpoint`` is set: nothing of OpenTelemetry is imported otherwise.

Context travels as W3C ``traceparent``. The provider is our own, not the process-wide one, so that no library traces itself unasked.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import SettingsError
from hybrid_search.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_OFF: AbstractContextManager[Any] = nullcontext()
_provider: TracerProvider | None = None
_tracer: Any = None


def require_tracing(settings: Settings) -> None:
    """Raises ``SettingsError`` when ``otel_endpoint`` is set and the extra ``otel`` is not installed."""
    if settings.otel_endpoint:
        _sdk(settings.otel_endpoint)


def start_tracing(settings: Settings, service: str, *, exporter: SpanExporter | None = None) -> None:
    """Send this process's spans to ``otel_endpoint`` by OTLP over HTTP, in the background; nothing when it is empty. After a fork, never before.

    Args:
        service: the ``service.name``.
        exporter: takes the spans instead, each as it ends.

    Raises:
        SettingsError: the extra ``otel`` is not installed.
    """
    global _provider, _tracer
    if not settings.otel_endpoint and exporter is None:
        return
    _sdk(settings.otel_endpoint)
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    stop_tracing()
    sampler = ParentBased(TraceIdRatioBased(settings.otel_sample))
    _provider = TracerProvider(resource=Resource.create({"service.name": service}), sampler=sampler)
    _provider.add_span_processor(_processor(settings.otel_endpoint, exporter))
    _tracer = _provider.get_tracer("hybrid_search")


def _sdk(endpoint: str) -> None:
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.instrumentation.celery
        import opentelemetry.instrumentation.flask
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as err:
        raise SettingsError(
            f"otel_endpoint is set, but OpenTelemetry is not installed ({err.name} is missing).",
            field="otel_endpoint",
            value=endpoint,
            remedy="Install the extra: pip install 'hybrid-search[otel]'; or leave otel_endpoint empty.",
        ) from err


def _processor(endpoint: str, exporter: SpanExporter | None) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    if exporter is not None:
        return SimpleSpanProcessor(exporter)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))


def stop_tracing() -> None:
    """Send what is left and end; safe to call without a start."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider, _tracer = None, None


def provider() -> TracerProvider | None:
    """What instrumentations of libraries are to use; ``None`` while there is no tracing."""
    return _provider


def span(name: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A block of work as a span inside the current one; nothing while there is no tracing."""
    return _OFF if _tracer is None else _tracer.start_as_current_span(name, attributes=attributes)


def carried_context() -> dict[str, str]:
    """The headers that let another process continue the current trace; empty while there is no tracing."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(headers)
    return headers
