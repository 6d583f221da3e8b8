"""Copies of what changed in one index into another, by the server's own copying, and deletions that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hybrid_search.engines.cluster.bulk import Action, stream_bulk
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import EngineUnavailable

BATCH = 500
POLL = 0.25
"""Seconds between two looks at a copy under way; the first ones follow quickly, for short copies while writers wait."""
END_WITHIN = 60.0
"""Seconds for a copy that is called off to end."""
IDS = 5_000
"""Ids per request, and in a range that is compared."""
RANGES = 200
"""Ranges counted per request."""
_WHOLE = {"allow_partial_search_results": "false"}
"""A list with holes would take living products for deleted ones."""

Reached = Mapping[int, int]
"""Sequence numbers by shard."""
Range = tuple[str | None, str | None]
"""Ids after the first, up to and with the second; ``None`` is no bound."""
Progress = Callable[[int, int], None]
"""Called with (products copied, products in all)."""


def shard_changes(transport: Transport, index: str) -> Reached:
    """By shard, the sequence number up to which every change is done; -1 for one that never had a document.

    Not the largest number given out: a change below it may still be under way, and no later pass would look for it.
    """
    reply = transport.request("GET", f"/{quote(index, safe='')}/_stats/docs", params={"level": "shards"})
    shards = reply.body["indices"][index]["shards"].items()
    return {int(number): int(one["seq_no"]["local_checkpoint"]) for number, copies in shards for one in copies if one["routing"]["primary"]}


def changes_between(after: Reached | None, upto: Reached) -> int:
    """How many changes there were; after ``None`` all of them."""
    return sum(upto.values()) + len(upto) if after is None else sum(upto.values()) - sum(after.values())


def changed_sources(after: Reached | None, upto: Reached) -> Iterator[dict[str, Any]]:
    """Members of the ``source`` of ``_reindex`` requests that together find what changed; after ``None`` one finds everything.

    Each shard counts by itself, so each that has changed is asked for its own: where there are as many slices as shards, a slice is a shard.
    """
    if after is None:
        yield {}
        return
    for shard in sorted(upto):
        if upto[shard] > after[shard]:
            one = {"slice": {"id": shard, "max": len(upto)}} if len(upto) > 1 else {}
            yield {**one, "query": {"range": {"_seq_no": {"gt": after[shard]}}}}


def copy_changes(
    server: Server, old: str, new: str, after: Reached | None, upto: Reached, *, total: int = 0, progress: Progress | None = None
) -> int:
    """Copy what changed between two answers of ``shard_changes``, vectors included; returns how many documents.

    Args:
        after: ``None`` where nothing has been copied yet.
        total, progress: how many there are in all, and who is told of it.
    """

    def on_poll(status: Mapping[str, Any]) -> None:
        if progress is not None:
            progress(int(status["created"]) + int(status["updated"]), total)

    return sum(
        run_copy(
            server.transport,
            {"source": {"index": old, "size": BATCH, **source}, "dest": {"index": new}},
            remedy="Correct the mapping files and run it again.",
            on_poll=on_poll,
        )
        for source in changed_sources(after, upto)
    )


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

    Raises:
        ServerError: with the reason of the first document that failed.
        EngineUnavailable: somebody ended the copy before it was whole.
    """
    old, new = body["source"]["index"], body["dest"]["index"]
    end_copies(transport, new)  # one whose start was never answered would bring old states later
    transport.request("POST", f"/{quote(old, safe='')}/_refresh")
    task = transport.request("POST", "/_reindex", body, params={**(params or {}), "wait_for_completion": "false"}).body["task"]
    pause = POLL / 16
    while True:
        reply = transport.request("GET", f"/_tasks/{task}").body
        on_poll(reply["task"]["status"])
        if reply["completed"]:
            break
        time.sleep(pause)
        pause = min(2 * pause, POLL)
    if reply.get("error") or reply["response"]["failures"]:
        reason = reply.get("error") or reply["response"]["failures"][0]
        raise ServerError(f"Copying {old} into {new} failed: {_reason(reason).rstrip('.')}.", status=400, remedy=remedy)
    done = reply["response"]
    if ended := _ended(done):
        raise EngineUnavailable(
            f"Copying {old} into {new} was ended before it was whole ({ended}).",
            field="index",
            value=new,
            remedy="Run it again when nobody ends its tasks and no other reindex is under way.",
        )
    return int(done["created"]) + int(done["updated"])


def _ended(done: Mapping[str, Any]) -> str:
    """Why a copy is not whole although no document of it failed; a slice may have been ended by itself."""
    parts = [done, *done.get("slices", ())]
    if reasons := [str(part["canceled"]) for part in parts if part.get("canceled")]:
        return reasons[0]
    return "timed out" if any(part.get("timed_out") for part in parts) else ""


def end_copies(transport: Transport, new: str, *, within: float = END_WITHIN) -> None:
    """End copies into ``new`` that are under way, and wait until they are gone, for ``within`` seconds at most.

    Raises ``EngineUnavailable`` where one is still there then.
    """
    wanted = {"actions": "*data/write/reindex", "detailed": "true"}
    deadline = time.monotonic() + within
    while True:
        nodes = transport.request("GET", "/_tasks", params=wanted).body["nodes"].values()
        tasks = [key for node in nodes for key, task in node["tasks"].items() if f"to [{new}]" in task.get("description", "")]
        if not tasks:
            return
        if time.monotonic() > deadline:
            raise EngineUnavailable(
                f"A copy into {new} does not end: {', '.join(tasks)}.",
                field="index",
                value=new,
                remedy="See GET /_tasks, then run it again.",
            )
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
