"""Dropped spaces: their entries and vectors taken out of products, also those that somebody writes who does not know yet.

A writer reads the list of spaces, then the products, then writes. When a space is dropped in between, its entries arrive after they were
swept. So a writer reads the list again once it has written, and takes out itself what came too late: what was acknowledged before the drop
is found by the sweep, which refreshes first, and what was acknowledged after it sees the shorter list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hybrid_search.engines.cluster import spaces as space_list
from hybrid_search.engines.cluster.entries import Change, Spaces, difference, read_ledger, without
from hybrid_search.engines.cluster.layout import STATES
from hybrid_search.engines.cluster.pages import pages
from hybrid_search.engines.cluster.rewriting import Decide, Outcome, require_written, rewrite
from hybrid_search.engines.cluster.server import MGET, Server


def drop_space(server: Server, key: str) -> None:
    """``Vectors.drop_space``: out of the list first, which alone is enough; then its entries and vectors give their room back."""
    dropped = space_list.drop_space(server, key).dropping
    _sweep(server, dropped)
    space_list.forget_dropped(server, dropped)


def rewrite_in(server: Server, spaces: Spaces, ids: Iterable[str], decide: Decide) -> dict[str, Outcome]:
    """``rewrite`` for a ``decide`` that makes entries in ``spaces``, as read before: those of a space dropped meanwhile do not stay."""
    outcomes = rewrite(server, ids, decide)
    written = [id_ for id_, outcome in outcomes.items() if outcome.result in ("created", "updated")]
    if spaces and written and (late := spaces.keys() - space_list.read_spaces(server).fields.keys()):
        _take_out(server, written, late)
    return outcomes


def _sweep(server: Server, fields: Collection[str]) -> None:
    server.wrote(server.indices.products)  # entries that others wrote are meant too
    server.see(server.indices.products)
    has_entry = {"bool": {"should": [{"terms": {path: list(fields)}} for path in STATES.values()]}}
    batch: list[str] = []
    for hit in pages(server, server.indices.products, has_entry, by="id", fields=["id"], size=MGET):
        batch.append(hit["_source"]["id"])
        if len(batch) == MGET:
            _take_out(server, batch, fields)
            batch = []
    _take_out(server, batch, fields)


def _take_out(server: Server, ids: Iterable[str], fields: Collection[str]) -> None:
    def decide(_: str, stored: Mapping[str, Any] | None) -> Change | None:
        if stored is None:
            return None
        before = read_ledger(stored)
        after = without(before, fields)
        return None if after is before else difference(before, after)

    require_written(rewrite(server, ids, decide))
