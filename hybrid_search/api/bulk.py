"""``POST /v1/products``: many products, one JSON object per line, an answer for each line; one bad line spoils none."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, cast

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import BulkItem, BulkQuery, BulkReply
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import parse_json, read_query, require_type
from hybrid_search.api.writing import read_product, to_write
from hybrid_search.bootstrap import Services
from hybrid_search.engines.base import ProductWrite
from hybrid_search.types import Priority, WriteResult

blueprint = Blueprint("bulk", __name__, url_prefix="/v1")

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
BATCH = 200
"""Products between two writes: what is in memory at once."""
MAX_LINE = 20_000_000
"""Bytes of one line; products with data URLs are long."""

_STATUS = {"created": 201, "updated": 200, "noop": 200}


@blueprint.post("/products")
@operation(
    "write",
    "Create or replace many products",
    "products",
    bodies=dict.fromkeys(NDJSON[:1], None),
    query=BulkQuery,
    replies={200: BulkReply},
    problems=(400, 409, 413, 415, 422),
)
def post_products() -> Response:
    """One product per line. The reply says for every line what became of it; lines end at `\\n` only, empty ones are passed over.

    The body is read and written in batches, so that a connection that breaks has written the lines before; sending all again is harmless.
    """
    started = time.perf_counter()
    query = read_query(BulkQuery)
    require_type(*NDJSON)
    parts = services()
    items: list[BulkItem] = []
    # Buffered: the request's own stream reads a line byte by byte.
    lines = numbered_lines(io.BufferedReader(cast(io.RawIOBase, request.stream), 1 << 16), items)
    try:
        while batch := list(islice(lines, BATCH)):
            items += _write(batch, Priority(query.priority), parts)
    except RequestEntityTooLarge as err:
        written = sum(item.status < 400 for item in items)
        remedy = "Send less at once, or raise max_body_bytes."
        raise Problem(
            413, f"The body is larger than allowed; {written} products before that were written.", field="body", remedy=remedy
        ) from err
    if not items:
        raise Problem(400, "The body is empty.", field="body", remedy="Send one product per line.")
    if query.refresh == "wait":
        parts.engine.refresh()
    if any(item.result in ("created", "updated") for item in items):
        parts.request_feed()
    items.sort(key=lambda item: item.line)
    failed = sum(item.status >= 400 for item in items)
    took_ms = round((time.perf_counter() - started) * 1e3, 1)
    return json_response(BulkReply(items=items, written=len(items) - failed, failed=failed, took_ms=took_ms))


def numbered_lines(stream: BinaryIO, items: list[BulkItem]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank; one that is too long is noted in ``items`` and passed over."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            detail = f"The line is longer than {MAX_LINE:,} bytes."
            items.append(BulkItem(line=number, status=413, detail=detail, field="line", remedy="Link pictures by URL."))
        elif line.strip():
            yield number, line


def _write(batch: list[tuple[int, bytes]], priority: Priority, parts: Services) -> list[BulkItem]:
    items: list[BulkItem] = []
    writes: list[tuple[int, ProductWrite]] = []
    for number, line in batch:
        try:
            product = read_product(parse_json(line, field="line"), parts)
            writes.append((number, to_write(product, parts)))
        except Problem as problem:
            items.append(BulkItem.model_validate({"line": number, **problem.members()}))
    if writes:
        results = parts.engine.put([write for _, write in writes], priority=priority)
        items += [_item(number, result) for (number, _), result in zip(writes, results, strict=True)]
    return items


def _item(number: int, result: WriteResult) -> BulkItem:
    if result.result not in _STATUS:
        return BulkItem(line=number, status=422, id=result.id, detail=result.error or "The engine refused the product.")
    return BulkItem.model_validate({"line": number, "status": _STATUS[result.result], "id": result.id, "result": result.result})
