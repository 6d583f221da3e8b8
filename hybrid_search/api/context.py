"""What views need from the running application: its services and its JSON."""

from __future__ import annotations

from typing import Any, cast

import orjson
from flask import Response, current_app
from flask.json.provider import JSONProvider
from pydantic import BaseModel

from hybrid_search.bootstrap import Services

EXTENSION = "hybrid_search"


def services() -> Services:
    """The services of the application that answers the current request."""
    return cast(Services, current_app.extensions[EXTENSION])


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: strict on input (NaN, lone surrogates and trailing text are refused), fast on output."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


def json_response(body: BaseModel | dict[str, Any], status: int = 200, **headers: str) -> Response:
    """``body`` as JSON."""
    content = body.model_dump_json().encode() if isinstance(body, BaseModel) else orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status=status, content_type="application/json", headers=headers)
