"""``POST /v1/changes``: a shop's change feed, one change per line, each with a version; late and doubled changes change nothing."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, cast

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from werkzeug.exceptions import RequestEntityTooLarge

from hybrid_search.api.bulk import BATCH, NDJSON, numbered_lines
from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import BulkItem, WriteQuery
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import parse_json, read_query, require_type, validate
from hybrid_search.api.writing import read_product
from hybrid_search.attach.changes import ChangeResult, apply_changes
from hybrid_search.bootstrap import Services
from hybrid_search.engines.changes import LARGEST_VERSION, ChangeRecord

blueprint = Blueprint("changes", __name__, url_prefix="/v1")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ChangeLine(BaseModel):
    """One change of one product. A create and an update both carry the whole product as it is now."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    op: Literal["create", "update", "delete"]
    id: str = Field(min_length=1, max_length=256)
    version: int = Field(
        description="A number that grows with every change of the product, or the time of the change with its zone, as in 2026-01-31T12:00:00.123Z."
    )
    product: dict[str, Any] | None = Field(None, description="The whole product; left out for a delete.")

    @field_validator("version", mode="before")
    @classmethod
    def _number_or_time(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError as err:
                raise ValueError("must be a whole number, or a time such as 2026-01-31T12:00:00Z") from err
            if moment.tzinfo is None:
                raise ValueError("must tell its time zone, as in 2026-01-31T12:00:00Z")
            since = moment - _EPOCH
            return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number, or a time such as 2026-01-31T12:00:00Z")
        return value

    @field_validator("version")
    @classmethod
    def _within_bounds(cls, value: int) -> int:
        if not 0 <= value <= LARGEST_VERSION:
            raise ValueError(f"must be between 0 and {LARGEST_VERSION}")
        return value

    @model_validator(mode="after")
    def _product_where_there_is_one(self) -> ChangeLine:
        if self.op != "delete" and self.product is None:
            raise ValueError(f"a change with op {self.op!r} needs the product")
        if self.op == "delete" and self.product is not None:
            raise ValueError("a delete carries no product")
        return self


class ChangeItem(BaseModel):
    """What became of one line."""

    line: int = Field(description="Line of the body, from 1.")
    status: int
    id: str | None = None
    result: Literal["created", "updated", "noop", "deleted", "missing", "stale"] | None = Field(
        None, description="`stale`: the same or a newer version was told before; nothing changed."
    )
    detail: str | None = None
    field: str | None = None
    value: str | None = None
    remedy: str | None = None


class ChangesReply(BaseModel):
    items: list[ChangeItem]
    applied: int = Field(description="Lines that are the newest known state of their product.")
    stale: int
    failed: int
    took_ms: float


@blueprint.post("/changes")
@operation(
    "write",
    "Tell changes of products in any order",
    "products",
    bodies=dict.fromkeys(NDJSON[:1], None),
    query=WriteQuery,
    replies={200: ChangesReply},
    problems=(400, 409, 413, 415, 422),
)
def post_changes() -> Response:
    """One change per line: `{"op": "update", "id": "p1", "version": 17, "product": {...}}` or `{"op": "delete", "id": "p1", "version": 18}`.

    The greatest version of a product wins, whatever the order; a deleted product comes back only by a greater version. Changes that
    come late, doubled or again after an error change nothing. Use one kind of version for a product: numbers, or times (compared
    in microseconds since 1970).
    """
    started = time.perf_counter()
    query = read_query(WriteQuery)
    require_type(*NDJSON)
    parts = services()
    items: list[ChangeItem] = []
    too_long: list[BulkItem] = []
    lines = numbered_lines(io.BufferedReader(cast(io.RawIOBase, request.stream), 1 << 16), too_long)
    try:
        while batch := list(islice(lines, BATCH)):
            items += _apply(batch, parts)
    except RequestEntityTooLarge as err:
        detail = f"The body is larger than allowed; {len(items)} lines before that were read."
        raise Problem(413, detail, field="body", remedy="Send less at once, or raise max_body_bytes.") from err
    items += [ChangeItem.model_validate(item.model_dump()) for item in too_long]
    if not items:
        raise Problem(400, "The body is empty.", field="body", remedy="Send one change per line.")
    if query.refresh == "wait":
        parts.engine.refresh()
    if any(item.result in ("created", "updated") for item in items):
        parts.request_feed()
    items.sort(key=lambda item: item.line)
    failed, stale = sum(item.status >= 400 for item in items), sum(item.result == "stale" for item in items)
    took_ms = round((time.perf_counter() - started) * 1e3, 1)
    return json_response(ChangesReply(items=items, applied=len(items) - failed - stale, stale=stale, failed=failed, took_ms=took_ms))


def _apply(batch: list[tuple[int, bytes]], parts: Services) -> list[ChangeItem]:
    items: list[ChangeItem] = []
    changes: list[tuple[int, ChangeRecord]] = []
    for number, line in batch:
        try:
            changes.append((number, _read(line, parts)))
        except Problem as problem:
            items.append(ChangeItem.model_validate({"line": number, **problem.members()}))
    if changes:
        results = apply_changes(parts.engine, parts.changes, [change for _, change in changes], parts.intake)
        items += [_item(number, result) for (number, _), result in zip(changes, results, strict=True)]
    return items


def _read(line: bytes, parts: Services) -> ChangeRecord:
    """Raises ``Problem`` that names the member at fault."""
    change = validate(ChangeLine, parse_json(line, field="line"))
    if change.product is None:
        return ChangeRecord(change.id, change.version, None)
    given = {"id": change.id, **change.product}
    if given["id"] != change.id:
        raise Problem(
            422, "The id in the product is not the one of the change.", field="product.id", value=given["id"], remedy="Leave it out."
        )
    return ChangeRecord(change.id, change.version, read_product(given, parts).body())


def _item(number: int, result: ChangeResult) -> ChangeItem:
    if result.result == "error":
        return ChangeItem(line=number, status=422, id=result.id, detail=result.error or "The engine refused the product.")
    return ChangeItem(line=number, status=201 if result.result == "created" else 200, id=result.id, result=result.result)
