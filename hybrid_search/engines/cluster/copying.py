"""Copies of what changed in one index into another, by the server's own copying, and deletions that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError

BATCH = 500
POLL = 0.25
"""Seconds between two looks at a copy under way."""
IDS = 5_000

Progress = Callable[[int, int], None]
"""Called with (products copied, products in all)."""


def last_change(server: Server, index: str) -> int:
    """The sequence number up to which every change is done; with several shards each has its own, and the least of them is safe.

    Not the largest number given out: a change below it may still be under way, and no later pass would look for it.
    """
    reply = server.transport.request("GET", f"/{index}/_stats/docs", params={"level": "shards"})
    copies = [copy for shard in reply.body["indices"][index]["shards"].values() for copy in shard if copy["routing"]["primary"]]
    return min(int(copy["seq_no"]["local_checkpoint"]) for copy in copies)


def copy_changes(server: Server, old: str, new: str, after: int, total: int, progress: Progress | None) -> int:
    """Copy what changed after a sequence number, vectors included; returns how many documents."""
    end_copies(server, new)  # one whose start was never answered would bring old states later
    body = {
        "source": {"index": old, "size": BATCH, "query": {"range": {"_seq_no": {"gt": after}}}},
        "dest": {"index": new},
    }
    server.transport.request("POST", f"/{old}/_refresh")
    task = server.transport.request("POST", "/_reindex", body, params={"wait_for_completion": "false"}).body["task"]
    while True:
        reply = server.transport.request("GET", f"/_tasks/{task}").body
        status = reply["task"]["status"]
        if progress is not None:
            progress(int(status["created"]) + int(status["updated"]), total)
        if reply["completed"]:
            break
        time.sleep(POLL)
    if reply.get("error") or reply["response"]["failures"]:
        reason = reply.get("error") or reply["response"]["failures"][0]
        raise ServerError(
            f"Copying {old} into {new} failed: {_reason(reason)}", status=400, remedy="Correct the mapping files and run it again."
        )
    return int(status["created"]) + int(status["updated"])


def end_copies(server: Server, new: str) -> None:
    """End copies into ``new`` that are under way, and wait until they are gone."""
    wanted = {"actions": "*data/write/reindex", "detailed": "true"}
    while True:
        nodes = server.transport.request("GET", "/_tasks", params=wanted).body["nodes"].values()
        tasks = [key for node in nodes for key, task in node["tasks"].items() if f"to [{new}]" in task.get("description", "")]
        if not tasks:
            return
        for task in tasks:
            server.transport.request("POST", f"/_tasks/{task}/_cancel", ignore=(404,))
        time.sleep(POLL)


def _reason(failure: Any) -> str:
    cause = failure.get("cause", failure) if isinstance(failure, dict) else failure
    named = f"product {failure['id']!r}: " if isinstance(failure, dict) and "id" in failure else ""
    return (
        f"{named}{cause.get('reason', cause)} {cause.get('caused_by', {}).get('reason', '')}".strip()
        if isinstance(cause, dict)
        else str(cause)
    )


def remove_deleted(server: Server, old: str, new: str) -> int:
    """Remove from the copy what is no longer in the old index; equal counts need no look at the ids."""
    server.transport.request("POST", f"/{old},{new}/_refresh")
    if count(server, old) == count(server, new):
        return 0
    there = _ids(server, old)
    current = next(there, None)
    gone: list[str] = []
    for id_ in _ids(server, new):
        while current is not None and current < id_:
            current = next(there, None)
        if current != id_:
            gone.append(id_)
    results = send_bulk(server.transport, [Action("delete", new, id_, require_alias=False) for id_ in gone])
    return sum(result.ok for result in results)


def _ids(server: Server, index: str) -> Iterator[str]:
    """Document ids by ``id`` in order."""
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {"size": IDS, "sort": [{"id": "asc"}], "_source": False, "track_total_hits": False}
        if after is not None:
            body["search_after"] = after
        hits = server.transport.request("POST", f"/{index}/_search", body).body["hits"]["hits"]
        yield from (hit["_id"] for hit in hits)
        if len(hits) < IDS:
            return
        after = hits[-1]["sort"]


def count(server: Server, index: str) -> int:
    return int(server.transport.request("GET", f"/{index}/_count").body["count"])
