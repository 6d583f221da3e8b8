"""Searches of the ledger: several in one request, and those that read everything they match, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from hybrid_search.engines.cluster.server import Server, raise_item

TRIES = 8
"""Times that searches are sent which the server had no room for, alone or on one shard."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between them: drawn at random below a bound that doubles."""
PAGE = 1_000
"""Hits per request."""


def pages(
    server: Server, index: str, query: Mapping[str, Any], *, by: str, fields: Sequence[str], after: str = "", size: int = PAGE
) -> Iterator[Mapping[str, Any]]:
    """Every hit of ``query`` with these source ``fields``, in order of the keyword ``by``, which must differ in every document.

    Pages of ``size``, the next one asked for when the last has been read; each is the state of the index at its own moment.

    Raises:
        ServerError: a shard could not answer: a list with holes is none.
    """
    request: dict[str, Any] = {"size": size, "query": query, "sort": [{by: "asc"}], "track_total_hits": False, "_source": list(fields)}
    if after:
        request["search_after"] = [after]
    while True:
        reply = server.transport.request("POST", f"/{index}/_search", request, params={"allow_partial_search_results": "false"})
        hits = reply.body["hits"]["hits"]
        yield from hits
        if len(hits) < size:
            return
        request["search_after"] = hits[-1]["sort"]


def search_all(server: Server, searches: Sequence[tuple[str, Mapping[str, Any]]], what: str) -> list[Mapping[str, Any]]:
    """Answers of several searches (index and body), sent as one request; those that a lack of room or a shard spoilt are sent again.

    Raises:
        ServerError: one of them stays unanswered, wholly or in part; ``what`` says what for.
    """
    lines = [line for index, body in searches for line in ({"index": index}, body)]
    sent = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)

    def ask() -> list[Mapping[str, Any]]:
        answers: list[Mapping[str, Any]] = server.transport.request("POST", "/_msearch", sent).body["responses"]
        return answers

    asking = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        retry=retry_if_result(lambda answers: any(_spoilt(answer) is not None for answer in answers)),
    )
    try:
        return list(asking(ask))
    except RetryError as given_up:
        for answer in given_up.last_attempt.result():
            if (error := _spoilt(answer)) is not None:
                raise_item(error, what)
        raise


def _spoilt(answer: Mapping[str, Any]) -> Any:
    """The error of an answer that is none or has holes."""
    if "error" in answer:
        return answer["error"]
    failures = answer["_shards"].get("failures") or [{}]
    return failures[0].get("reason", "shards failed") if answer["_shards"]["failed"] else None
