"""``/v1/search``: by words, by pictures, by both."""

from __future__ import annotations

import base64
from typing import Any

from flask import Blueprint, Response, request

from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import SimpleSearchQuery
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import parse_json, read_json, read_query, require_type, validate
from hybrid_search.api.references import public_reply
from hybrid_search.product import CATEGORY_SEPARATOR
from hybrid_search.query.pipeline import search
from hybrid_search.query.reply import SearchReply
from hybrid_search.query.request import SearchRequest

blueprint = Blueprint("search", __name__, url_prefix="/v1/search")

MULTIPART = "multipart/form-data"


@blueprint.post("")
@operation(
    "search",
    "Search",
    "search",
    bodies={"application/json": SearchRequest, MULTIPART: SearchRequest},
    replies={200: SearchReply},
    problems=(400, 404, 413, 415, 422),
)
def post_search() -> Response:
    """By words, by pictures, by both, by a product (`like`), or everything.

    As `multipart/form-data` the pictures are files named `image` and the JSON is the field `request`.
    """
    multipart = require_type("application/json", MULTIPART) == MULTIPART
    wanted = _read_form() if multipart else read_json(SearchRequest)
    return json_response(public_reply(search(wanted, services().search_parts)))


@blueprint.get("")
@operation("search", "Search, the simple form", "search", query=SimpleSearchQuery, replies={200: SearchReply}, problems=(404, 422))
def get_search() -> Response:
    """The commonest part of `POST /v1/search` in an address that can be typed and cached."""
    return json_response(public_reply(search(_request_of(read_query(SimpleSearchQuery)), services().search_parts)))


def _read_form() -> SearchRequest:
    """The multipart form as a request: each file becomes base64 bytes."""
    for name in (*request.form, *request.files):
        if name not in ("request", "image"):
            raise Problem(422, f"Unknown form field {name!r}.", field=name, value=name, remedy="Use request (JSON) and image (files).")
    body: Any = parse_json(request.form["request"].encode("utf-8", "surrogatepass"), field="request") if "request" in request.form else {}
    files = [file.stream.read() for file in request.files.getlist("image")]
    if isinstance(body, dict) and files:
        if not all(files):
            raise Problem(422, "A picture file is empty.", field="image", remedy="Choose a JPEG, PNG, WEBP, GIF or AVIF file.")
        given = body.get("images", [])
        uploads = [{"base64": base64.b64encode(content).decode()} for content in files]
        body = body | {"images": [*given, *uploads] if isinstance(given, list) else given}
    return validate(SearchRequest, body)


def _request_of(query: SimpleSearchQuery) -> SearchRequest:
    filters: list[dict[str, Any]] = [{"field": name, "values": [value]} for name in ("brand", "color") if (value := getattr(query, name))]
    if query.category:
        path = [level.strip() for level in query.category.split(CATEGORY_SEPARATOR)]
        filters.append({"field": "category", "path": path})
    bounds = {"gte": query.price_min, "lte": query.price_max}
    if any(bound is not None for bound in bounds.values()):
        filters.append({"field": "price", **bounds})
    sort = [{"field": query.sort.removeprefix("-"), "descending": query.sort.startswith("-")}] if query.sort else []
    return validate(
        SearchRequest,
        {
            "q": query.q,
            "like": query.like or None,
            "filters": filters,
            "sort": sort,
            "size": query.size,
            "next": query.next or None,
            "explain": query.explain,
        },
    )
