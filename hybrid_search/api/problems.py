"""Problem replies (RFC 9457, ``application/problem+json``): the one shape of every error that leaves the API.

A reply names what is wrong (``title``, ``detail``), where (``field``, ``value``), what to do (``remedy``) and which request it was
(``request_id``). ``type`` is a relative reference to the page that explains the kind of problem.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, g
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException

from hybrid_search.errors import (
    CatalogError,
    ConflictError,
    EncoderError,
    EngineError,
    EngineUnavailable,
    HybridSearchError,
    ImageError,
    NotFoundError,
    QueryError,
    ReadOnlyError,
    SettingsError,
)
from hybrid_search.telemetry.metrics import PROBLEMS

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
SHOWN_CHARS = 120
SHOWN_ERRORS = 20

TITLES: dict[str, str] = {
    "bad-request": "The request could not be read",
    "unauthorized": "An API key is needed",
    "forbidden": "The API key does not allow this",
    "not-found": "There is no such thing",
    "method-not-allowed": "The address does not take this method",
    "conflict": "Somebody else changed it meanwhile",
    "read-only": "Products are not written here",
    "too-large": "The request is too large",
    "unsupported-media-type": "The content type is not one of those read here",
    "invalid": "The request was understood but asks for something that is not possible",
    "unreadable-picture": "The picture cannot be used",
    "unavailable": "A part of the service is down",
    "internal": "Something went wrong on our side",
}
"""Kinds of problems: the fragment of ``type`` and the ``title``."""

_KIND_OF_STATUS = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    503: "unavailable",
}

_KIND_OF_ERROR: tuple[tuple[type[HybridSearchError], int, str], ...] = (
    (NotFoundError, 404, "not-found"),
    (ConflictError, 409, "conflict"),
    (ReadOnlyError, 409, "read-only"),
    (ImageError, 422, "unreadable-picture"),
    (QueryError, 422, "invalid"),
    (CatalogError, 422, "invalid"),
    (EngineUnavailable, 503, "unavailable"),
    (EncoderError, 503, "unavailable"),
    (EngineError, 500, "internal"),
    (SettingsError, 500, "internal"),
)
"""First match wins: subclasses stand before their base."""


class FieldProblem(BaseModel):
    """One fault of a request that has several."""

    field: str
    detail: str
    value: str | None = None


class ProblemBody(BaseModel):
    """RFC 9457 problem details, with the members that this API adds."""

    model_config = ConfigDict(json_schema_extra={"description": "RFC 9457 problem details."})

    type: str = Field(description="Relative reference to the explanation of this kind of problem.", examples=["/problems#invalid"])
    title: str
    status: int
    detail: str
    field: str | None = Field(None, description="The member, parameter, header or product field at fault.")
    value: str | None = Field(None, description="Its value as given, shortened.")
    remedy: str | None = Field(None, description="What to do about it.")
    request_id: str
    errors: list[FieldProblem] = Field(default_factory=list, description="All faults, when there are several.")


class Problem(Exception):
    """Raise it anywhere in a view to answer with a problem.

    Args:
        status: HTTP status.
        detail: what is wrong, in one sentence.
        field, value, remedy: as in ``HybridSearchError``; ``value`` is shortened before it is shown.
        headers: further reply headers, as in ``{"Retry-After": "5"}``.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        field: str | None = None,
        value: object = None,
        remedy: str | None = None,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind or _KIND_OF_STATUS.get(status, "bad-request" if status < 500 else "internal")
        self.detail = detail
        self.field = field
        self.value = None if value is None else shorten(value)
        self.remedy = remedy
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def members(self) -> dict[str, Any]:
        """What a bulk reply says of one line: the problem without type, title and request id."""
        members = {"status": self.status, "detail": self.detail, "field": self.field, "value": self.value, "remedy": self.remedy}
        return {name: value for name, value in members.items() if value is not None}


def shorten(value: object) -> str:
    """``value`` as a string of at most ``SHOWN_CHARS`` characters that any JSON writer accepts (lone surrogates replaced)."""
    text = value if isinstance(value, str) else repr(value)
    text = text[: SHOWN_CHARS + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def from_error(err: HybridSearchError) -> Problem:
    """The problem that tells ``err``: 4xx for what the caller can mend, 503 with ``Retry-After`` for what time may mend."""
    status, kind = next(((status, kind) for cls, status, kind in _KIND_OF_ERROR if isinstance(err, cls)), (500, "internal"))
    headers = {"Retry-After": "5"} if status == 503 else None
    return Problem(status, err.message, kind=kind, field=err.field, value=err.value, remedy=err.remedy, headers=headers)


def from_validation(err: ValidationError, *, prefix: str = "") -> Problem:
    """The problem that tells a pydantic error: the first fault in the main members, all of them (up to 20) in ``errors``."""
    faults = [_fault(details, prefix) for details in err.errors(include_url=False, include_context=False)[:SHOWN_ERRORS]]
    first = faults[0]
    return Problem(
        422,
        f"{first.field or 'The body'}: {first.detail}.",
        field=first.field or None,
        value=first.value,
        remedy="Correct it; /openapi.json describes every member.",
        errors=faults if len(faults) > 1 else (),
    )


def _fault(details: ErrorDetails, prefix: str) -> FieldProblem:
    name = ".".join(part for part in (prefix, *(str(step) for step in details["loc"])) if part)
    value = details["input"] if details["type"] != "missing" else None
    message = details["msg"].removeprefix("Value error, ").rstrip(".")
    return FieldProblem(field=name, detail=message, value=None if value is None else shorten(value))


def problem_response(problem: Problem) -> Response:
    """The HTTP reply of ``problem``."""
    body = ProblemBody(
        type=f"/problems#{problem.kind}",
        title=TITLES[problem.kind],
        status=problem.status,
        detail=problem.detail,
        field=problem.field,
        value=problem.value,
        remedy=problem.remedy,
        request_id=g.get("request_id", ""),
        errors=problem.errors,
    )
    PROBLEMS.labels(problem.kind).inc()
    content = orjson.dumps(body.model_dump(exclude_none=True, exclude_defaults=False))
    return Response(content, status=problem.status, content_type=MEDIA_TYPE, headers=problem.headers)


def _from_http(err: HTTPException) -> Problem:
    status = err.code or 500
    allow = ", ".join(sorted(getattr(err, "valid_methods", None) or ()))
    if status == 405:
        return Problem(405, f"This address takes {allow}.", field="method", remedy=f"Use {allow}.", headers={"Allow": allow})
    if status == 404:
        return Problem(404, "There is nothing at this address.", field="path", remedy="See /openapi.json for every address.")
    if status == 413:
        return Problem(413, "The request body is larger than allowed.", field="body", remedy="Send less at once, or raise max_body_bytes.")
    return Problem(status, err.description or HTTPStatus(status).phrase)


def register_problems(app: Flask) -> None:
    """Let every error of ``app`` leave as a problem; the unforeseen ones are logged with their traceback and answered without it."""

    @app.errorhandler(Problem)
    def _problem(err: Problem) -> Response:
        return problem_response(err)

    @app.errorhandler(HybridSearchError)
    def _known(err: HybridSearchError) -> Response:
        problem = from_error(err)
        if problem.status >= 500:
            log.error("request failed: %s", err, extra={"request_id": g.get("request_id", "")})
        return problem_response(problem)

    @app.errorhandler(ValidationError)
    def _invalid(err: ValidationError) -> Response:
        return problem_response(from_validation(err))

    @app.errorhandler(HTTPException)
    def _http(err: HTTPException) -> Response:
        return err.get_response() if (err.code or 500) < 400 else problem_response(_from_http(err))  # type: ignore[return-value]

    @app.errorhandler(Exception)  # the one place where an unforeseen error becomes a reply
    def _unforeseen(err: Exception) -> Response:
        log.exception("unforeseen error", exc_info=err, extra={"request_id": g.get("request_id", "")})
        detail = "The request met an error that is not foreseen; it has been logged."
        return problem_response(Problem(500, detail, remedy="Try again; if it stays, report the request id."))
