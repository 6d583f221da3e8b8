"""Request ids in and out, and one log line per request (never its body, query text, keys or cookies)."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, g, request

from hybrid_search.telemetry.logs import forget_notes, note, noted

log = logging.getLogger("hybrid_search.access")

HEADER = "X-Request-ID"
NO_ROUTE = "(no route)"
_VALID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def route() -> str:
    """The template of the address asked for: what may be logged and counted, for it holds no id."""
    return request.url_rule.rule if request.url_rule else NO_ROUTE


def register_request_ids(app: Flask) -> None:
    """Take the caller's ``X-Request-ID`` when it is harmless (1–128 of ``A-Za-z0-9._:-``), otherwise make one; give it back on every reply."""

    @app.before_request
    def _take() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _VALID.fullmatch(given) else uuid.uuid4().hex
        g.started = time.perf_counter()
        forget_notes()
        note(request_id=g.request_id)

    @app.after_request
    def _give(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        took_ms = (time.perf_counter() - g.started) * 1000
        said = {"method": request.method, "route": route(), "status": response.status_code, "duration_ms": round(took_ms, 1)}
        # What is noted (request_id, query_id, degraded) is on the record too, for whoever reads records instead of lines.
        log.info("%s %s %s %.1f ms", request.method, route(), response.status_code, took_ms, extra=said | noted())
        return response
