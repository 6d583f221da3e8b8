"""``/openapi.json``, the try-it page ``/openapi`` and the page that explains the kinds of problems."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, render_template, send_from_directory

from hybrid_search.api.context import json_response
from hybrid_search.api.openapi import describe
from hybrid_search.api.operations import page
from hybrid_search.api.problems import TITLES, Problem

blueprint = Blueprint("docs", __name__)

_DESCRIPTION = "hybrid_search_openapi"
_ASSETS = {"swagger-ui.css": "css/swagger-ui.css", "swagger-ui-bundle.js": "js/swagger-ui-bundle.js"}


@blueprint.get("/openapi.json")
@page(None)
def openapi_json() -> Response:
    """The OpenAPI 3.1 description, built once per process."""
    described: dict[str, Any] | None = current_app.extensions.get(_DESCRIPTION)
    if described is None:
        described = current_app.extensions[_DESCRIPTION] = describe(current_app)
    return json_response(described)


@blueprint.get("/openapi")
@page(None)
def try_it() -> str:
    """Swagger UI, from the installed package."""
    return render_template("docs.html")


@blueprint.get("/openapi/assets/<name>")
@page(None)
def try_it_asset(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in _ASSETS:
        raise Problem(404, "There is no such file.", field="path", value=name)
    folder = files("flask_openapi3_swagger") / "templates" / "swagger"
    return send_from_directory(str(folder), _ASSETS[name], max_age=86_400)


@blueprint.get("/problems")
@page(None)
def problem_kinds() -> str:
    """Where ``type`` of a problem points to."""
    return render_template("problems.html", titles=TITLES)
