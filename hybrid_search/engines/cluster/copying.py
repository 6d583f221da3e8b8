"""Copies of what changed in one index into another, by the server's own copying, and deletions that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.bulk import Action, stream_bulk
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError, Transport

BATCH = 500
POLL = 0.25
"""Seconds between two looks at a copy under way."""
IDS = 5_000
"""Ids per request, and in a range that is compared."""
RANGES = 200
"""Ranges counted per request."""
_WHOLE = {"allow_partial_search_results": "false"}
"""A list with holes would take living products for deleted ones."""

Range = tuple[str | None, str | None]
"""Ids after the first, up to and with the second; ``None`` is no bound."""
Progress = Callable[[int, int], None]
"""Called with (products copied, products in all)."""


def last_change(transport: Transport, index: str) -> int:
    """The sequence number up to which every change is done; with several shards each has its own, and the least of them is safe.

    Not the largest number given out: a change below it may still be under way, and no later pass would look for it.
    """
    reply = transport.request("GET", f"/{quote(index, safe='')}/_stats/docs", params={"level": "shards"})
    copies = [copy for shard in reply.body["indices"][index]["shards"].values() for copy in shard if copy["routing"]["primary"]]
    return min(int(copy["seq_no"]["local_checkpoint"]) for copy in copies)


def copy_changes(server: Server, old: str, new: str, after: int, total: int, progress: Progress | None) -> int:
    """Copy what changed after a sequence number, vectors included; returns how many documents."""
    body = {
        "source": {"index": old, "size": BATCH, "query": {"range": {"_seq_no": {"gt": after}}}},
        "dest": {"index": new},
    }

    def on_poll(status: Mapping[str, Any]) -> None:
        if progress is not None:
            progress(int(status["created"]) + int(status["updated"]), total)

    return run_copy(server.transport, body, remedy="Correct the mapping files and run it again.", on_poll=on_poll)


def run_copy(
    transport: Transport,
    body: Mapping[str, Any],
    *,
    remedy: str,
    on_poll: Callable[[Mapping[str, Any]], None],
    params: Mapping[str, str] | None = None,
) -> int:
    """Have the server copy by the ``_reindex`` request ``body`` and wait for its end; returns how many documents it wrote.

    Args:
        remedy: what to do where a document cannot be copied.
        on_poll: called with the status of the task, about every ``POLL`` seconds.

    Raises ``ServerError`` with the reason of the first document that failed.
    """
    old, new = body["source"]["index"], body["dest"]["index"]
    end_copies(transport, new)  # one whose start was never answered would bring old states later
    transport.request("POST", f"/{quote(old, safe='')}/_refresh")
    task = transport.request("POST", "/_reindex", body, params={**(params or {}), "wait_for_completion": "false"}).body["task"]
    while True:
        reply = transport.request("GET", f"/_tasks/{task}").body
        on_poll(reply["task"]["status"])
        if reply["completed"]:
            break
        time.sleep(POLL)
    if reply.get("error") or reply["response"]["failures"]:
        reason = reply.get("error") or reply["response"]["failures"][0]
        raise ServerError(f"Copying {old} into {new} failed: {_reason(reason).rstrip('.')}.", status=400, remedy=remedy)
    return int(reply["response"]["created"]) + int(reply["response"]["updated"])


def end_copies(transport: Transport, new: str) -> None:
    """End copies into ``new`` that are under way, and wait until they are gone."""
    wanted = {"actions": "*data/write/reindex", "detailed": "true"}
    while True:
        nodes = transport.request("GET", "/_tasks", params=wanted).body["nodes"].values()
        tasks = [key for node in nodes for key, task in node["tasks"].items() if f"to [{new}]" in task.get("description", "")]
        if not tasks:
            return
        for task in tasks:
            transport.request("POST", f"/_tasks/{task}/_cancel", ignore=(404,))
        time.sleep(POLL)


def _reason(failure: Any) -> str:
    cause = failure.get("cause", failure) if isinstance(failure, dict) else failure
    named = f"product {failure['id']!r}: " if isinstance(failure, dict) and "id" in failure else ""
    return (
        f"{named}{cause.get('reason', cause)} {cause.get('caused_by', {}).get('reason', '')}".strip()
        if isinstance(cause, dict)
        else str(cause)
    )


def id_bounds(server: Server, index: str) -> list[str]:
    """Every ``IDS``-th product id in order: they cut the catalogue into ranges that are compared one by one."""
    return [id_ for number, (id_, _) in enumerate(_ids(server, index, (None, None)), 1) if number % IDS == 0]


def remove_deleted(server: Server, old: str, new: str, bounds: Sequence[str]) -> int:
    """Remove from the copy what is no longer in the old index; returns how many documents.

    Ids are read only of the ranges between ``bounds`` that differ in their counts, page by page. While ``old`` is written, a deletion
    may hide behind a new product of its range; once it takes no writes and all of it has been copied, none can.
    """
    server.transport.request("POST", f"/{old},{new}/_refresh")
    ranges: list[Range] = list(zip([None, *bounds], [*bounds, None], strict=True))
    counts = zip(_counts(server, old, ranges), _counts(server, new, ranges), strict=True)
    differing = [span for span, (before, copied) in zip(ranges, counts, strict=True) if before != copied]
    actions = (Action("delete", new, id_, require_alias=False) for span in differing for id_ in _gone(server, old, new, span))
    return sum(result.ok for result in stream_bulk(server.transport, actions))


def _gone(server: Server, old: str, new: str, span: Range) -> Iterator[str]:
    """``_id`` of what is in the copy only."""
    there = _ids(server, old, span)
    current = next(there, None)
    for id_, document in _ids(server, new, span):
        while current is not None and current[0] < id_:
            current = next(there, None)
        if current is None or current[0] != id_:
            yield document


def _counts(server: Server, index: str, ranges: Sequence[Range]) -> Iterator[int]:
    """Products in each of ``ranges``."""
    for start in range(0, len(ranges), RANGES):
        asked = {"counts": {"filters": {"filters": [_within(span) for span in ranges[start : start + RANGES]]}}}
        reply = server.transport.request("POST", f"/{index}/_search", {"size": 0, "aggs": asked}, params=_WHOLE)
        yield from (int(bucket["doc_count"]) for bucket in reply.body["aggregations"]["counts"]["buckets"])


def _within(span: Range) -> dict[str, Any]:
    """Ids after the first bound, up to and with the second."""
    after, upto = span
    bounds = {name: bound for name, bound in (("gt", after), ("lte", upto)) if bound is not None}
    return {"range": {"id": bounds}} if bounds else {"match_all": {}}


def _ids(server: Server, index: str, span: Range) -> Iterator[tuple[str, str]]:
    """Product ids in order, each with its document's ``_id``."""
    body: dict[str, Any] = {"size": IDS, "query": _within(span), "sort": [{"id": "asc"}], "_source": False, "track_total_hits": False}
    while True:
        hits = server.transport.request("POST", f"/{index}/_search", body, params=_WHOLE).body["hits"]["hits"]
        yield from ((hit["sort"][0], hit["_id"]) for hit in hits)
        if len(hits) < IDS:
            return
        body["search_after"] = hits[-1]["sort"]


def count(transport: Transport, index: str) -> int:
    return int(transport.request("GET", f"/{quote(index, safe='')}/_count").body["count"])
