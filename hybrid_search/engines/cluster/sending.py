"""One ``_bulk`` at a time: stands in until ``bulk``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from hybrid_search.engines.cluster.problems import problem
from hybrid_search.engines.cluster.transport import Transport

MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Action:
    op: Literal["index", "create", "update", "delete"]
    index: str
    id: str
    body: Mapping[str, Any] | None = None
    if_seq_no: int | None = None
    if_primary_term: int | None = None


@dataclass(frozen=True, slots=True)
class ItemResult:
    status: int
    result: str = ""
    error: str | None = None


def send_bulk(
    transport: Transport, actions: Sequence[Action], *, max_bytes: int = MOST_BYTES, refresh: str | None = None
) -> list[ItemResult]:
    results: list[ItemResult] = []
    lines: list[bytes] = []
    size = 0
    params = {"require_alias": "true"} | ({"refresh": refresh} if refresh else {})

    def flush() -> None:
        if lines:
            reply = transport.request("POST", "/_bulk", b"\n".join([*lines, b""]), params=params)
            for item in reply.body["items"]:
                (found,) = item.values()
                error = problem(found["error"]).sentence if "error" in found else None
                results.append(ItemResult(found["status"], found.get("result", ""), error))
            lines.clear()

    for action in actions:
        head: dict[str, Any] = {"_index": action.index, "_id": action.id}
        if action.if_seq_no is not None:
            head |= {"if_seq_no": action.if_seq_no, "if_primary_term": action.if_primary_term}
        made = [orjson.dumps({action.op: head})]
        if action.body is not None:
            made.append(orjson.dumps(action.body, option=orjson.OPT_SERIALIZE_NUMPY))
        length = sum(map(len, made))
        if size + length > max_bytes:
            flush()
            size = 0
        lines += made
        size += length
    flush()
    return results
