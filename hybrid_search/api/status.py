"""``/v1/status``, failures, ``/healthz`` and ``/readyz``: what the service is doing and whether it is well."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import (
    FailureReply,
    FailuresQuery,
    FailuresReply,
    HealthReply,
    QueueReply,
    RetryReply,
    RetryRequest,
    StatusReply,
)
from hybrid_search.api.operations import operation
from hybrid_search.api.reading import read_json, read_query
from hybrid_search.errors import EncoderError, EngineError

blueprint = Blueprint("status", __name__)


@blueprint.get("/v1/status")
@operation("search", "Counts by embedding state, queue, change sequences", "status", replies={200: StatusReply})
def get_status() -> Response:
    """Cheap enough to be asked every second."""
    parts = services()
    status = parts.engine.status()
    control = parts.search_parts.control
    version, _ = control.current()
    return json_response(
        StatusReply(
            engine=status.name,
            products=status.products,
            states={key: dict(states) for key, states in status.states.items()},
            queue=QueueReply(
                queued=status.queue.queued,
                running=status.queue.running,
                oldest_queued=status.queue.oldest_queued,
                stalest_running=status.queue.stalest_running,
            ),
            seq=status.seq,
            indexed_seq=status.indexed_seq,
            control_version=version,
            control_error=control.error,
            spaces_error=parts.search_parts.spaces.error,
            details=dict(status.details),
        )
    )


@blueprint.get("/v1/failures")
@operation("admin", "Products that could not be embedded", "status", query=FailuresQuery, replies={200: FailuresReply}, problems=(422,))
def get_failures() -> Response:
    """In order of product id, with the last error of each."""
    query = read_query(FailuresQuery)
    product_id, _, space = query.after.rpartition("\n")
    failures = services().engine.failures(limit=query.limit, after=(product_id, space))
    lines = [
        FailureReply(product_id=f.product_id, space=e.space, attempts=e.attempts, error=e.error, model=e.model, updated=e.updated)
        for f in failures
        if (e := f.entry)
    ]
    more = f"{lines[-1].product_id}\n{lines[-1].space}" if len(lines) == query.limit else None
    return json_response(FailuresReply(failures=lines, next=more))


@blueprint.post("/v1/failures/retry")
@operation(
    "admin",
    "Try failed products again",
    "status",
    bodies={"application/json": RetryRequest},
    replies={200: RetryReply},
    problems=(400, 415, 422),
)
def retry_failures() -> Response:
    """All of them, or those with the given ids; attempts count from 0 again."""
    wanted = read_json(RetryRequest) if request.content_length else RetryRequest(ids=None)
    parts = services()
    retried = parts.engine.retry_failures(wanted.ids)
    if retried:
        parts.request_feed()
    return json_response(RetryReply(retried=retried))


@blueprint.get("/healthz")
@operation(None, "Whether the process answers", "status", replies={200: HealthReply})
def healthz() -> Response:
    """For a supervisor: restart the process when this does not answer."""
    return json_response(HealthReply(status="ok"))


@blueprint.get("/readyz")
@operation(None, "Whether searches can be answered", "status", replies={200: HealthReply, 503: HealthReply})
def readyz() -> Response:
    """For a load balancer: the engine answers, and the text model encodes (the first call loads it)."""
    parts = services()
    checks: dict[str, str] = {}
    try:
        parts.engine.status()
        checks["engine"] = "ok"
    except EngineError as err:
        checks["engine"] = err.message
    for model, encoder in parts.encoders.text.items():
        try:
            encoder.encode_queries(["ready"])
            checks[model] = "ok"
        except EncoderError as err:
            checks[model] = err.message
    ready = checks["engine"] == "ok"  # without a model the answer still comes, by words alone
    status = "ok" if ready else "unavailable"
    retry = {} if ready else {"Retry-After": "5"}
    return json_response(HealthReply.model_validate({"status": status, "checks": checks}), 200 if ready else 503, **retry)
