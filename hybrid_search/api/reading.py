"""Reading requests: content types, JSON and query parameters, checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from flask import current_app, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from hybrid_search.api.problems import Problem, from_validation

Model = TypeVar("Model", bound=BaseModel)

JSON_TYPES = ("application/json",)


def require_type(*allowed: str) -> str:
    """The request's media type if it is one of ``allowed``. Raises ``Problem`` 415 that lists them."""
    given = request.mimetype
    if given in allowed or (given.endswith("+json") and "application/json" in allowed):
        return given
    raise Problem(
        415,
        f"The content type is {given!r}." if given else "The request has no content type.",
        field="Content-Type",
        value=given,
        remedy=f"Send {' or '.join(allowed)}.",
    )


def parse_json(content: bytes, *, field: str = "body") -> Any:
    """JSON by the letter: NaN, lone surrogates, trailing text and broken UTF-8 are refused. Raises ``Problem`` 400."""
    if not content.strip():
        raise Problem(400, f"The {field} is empty.", field=field, remedy="Send a JSON object.")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as err:
        start = max(0, err.pos - 20)
        near = content.decode("utf-8", "replace")[start : err.pos + 20]
        raise Problem(
            400, f"The {field} is not valid JSON: {err.msg} (at {err.pos}).", field=field, value=near, remedy="Send valid JSON in UTF-8."
        ) from err


def read_json(model: type[Model]) -> Model:
    """The JSON body as ``model``. Raises ``Problem`` 400, 413, 415 or 422."""
    require_type(*JSON_TYPES)
    content = request.get_data(cache=False)
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is None and len(content) >= limit:  # a chunked body is cut there without a word
        raise RequestEntityTooLarge
    return validate(model, parse_json(content))


def validate(model: type[Model], value: Any) -> Model:
    """``value`` as ``model``. Raises ``Problem`` 422 that names every fault."""
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise Problem(422, f"The body must be a JSON object, not {kind}.", field="body", value=value, remedy="Send an object.")
    try:
        return model.model_validate(value)
    except ValidationError as err:
        raise from_validation(err) from err


def read_query(model: type[Model]) -> Model:
    """The query parameters as ``model``; unknown ones are faults. Raises ``Problem`` 422."""
    arguments: Mapping[str, Any] = request.args.to_dict()
    try:
        return model.model_validate(arguments)
    except ValidationError as err:
        raise from_validation(err) from err
