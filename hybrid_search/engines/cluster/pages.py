"""Searches that read everything they match, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hybrid_search.engines.cluster.server import Server

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
