"""Mending ledgers: bringing the entries of a product to the content it has, only while nobody else has written it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.engines.cluster.entries import Change, difference, read_ledger, requeued
from hybrid_search.engines.cluster.rewriting import require_written, rewrite
from hybrid_search.engines.cluster.server import Sequenced, Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.types import Requeue


def requeue(server: Server, requests: Sequence[Requeue], *, now: float) -> int:
    """``Ledger.requeue``. Here a product counts as written since whatever was written of it, a ledger entry or a vector too."""
    if not requests:
        return 0
    spaces = read_spaces(server)
    by_id = {request.product_id: request for request in requests}

    def decide(id_: str, stored: Mapping[str, Any] | None) -> Change | None:
        if stored is None:
            return None
        request = by_id[id_]
        named = {field for key in request.spaces if (field := spaces.field_of(key)) is not None}
        before = read_ledger(stored)
        after = requeued(before, spaces.fields, parts=request.parts, named=named, now=now)
        return None if after is before else difference(before, after)

    # Document.seq is the server's number plus one
    outcomes = rewrite(server, by_id, decide, at={id_: Sequenced(request.numbering, request.seq - 1) for id_, request in by_id.items()})
    require_written(outcomes)
    return sum(outcome.result == "updated" for outcome in outcomes.values())
