"""``/v1/control``: the one document that may change while everything runs."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import ControlReply
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import read_json
from hybrid_search.control import Control, parse_control, replace_control

blueprint = Blueprint("control", __name__, url_prefix="/v1/control")


@blueprint.get("")
@operation("admin", "Read the control document", "control", replies={200: ControlReply})
def get_control() -> Response:
    """As stored, defaults filled in. Its `ETag` is the version that a change must name in `If-Match`."""
    version, body = services().engine.read_control()
    return _reply(version, parse_control(body))


@blueprint.put("")
@operation(
    "admin",
    "Replace the control document",
    "control",
    bodies={"application/json": Control},
    replies={200: ControlReply},
    problems=(400, 409, 415, 422),
)
def put_control() -> Response:
    """All processes follow within about a second. With `If-Match: "<version>"` it is refused (409) when somebody else wrote meanwhile.

    Members that are left out return to their defaults, except those that `hybrid-search spaces` writes (`active_spaces`,
    `previous_spaces`, `prepared_spaces`, `encoders`, `backfill_per_second`): they stay until they are named, so that new weights undo no cut-over.
    """
    document = read_json(Control)
    expected = _expected(request.headers.get("If-Match", ""))
    return _reply(*replace_control(services().engine, document, expected_version=expected))


def _expected(given: str) -> int | None:
    text = given.strip().strip('"')
    if not text or text == "*":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Problem(422, "If-Match is not a version.", field="If-Match", value=given, remedy="Send the ETag of GET /v1/control.")
    return int(text)


def _reply(version: int, document: Control) -> Response:
    return json_response(ControlReply(version=version, control=document.model_dump(mode="json")), ETag=f'"{version}"')
