"""Failed tries on a server: counting them, pausing, giving up, listing, starting again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import Failure
from hybrid_search.engines.cluster.dropping import rewrite_in
from hybrid_search.engines.cluster.entries import (
    Change,
    Ledger,
    Spaces,
    difference,
    failure_counted,
    ledger_entries,
    read_ledger,
    retried,
    states_changed,
)
from hybrid_search.engines.cluster.layout import STATES
from hybrid_search.engines.cluster.pages import PAGE, pages
from hybrid_search.engines.cluster.rewriting import require_written
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import read_spaces
from hybrid_search.types import FailureWrite, Priority, State

_log = logging.getLogger(__name__)

Step = Callable[[str, Ledger], Ledger]
"""From a product's id and its ledger to the ledger that follows; the same object for no change."""


def change_ledgers(server: Server, ids: Sequence[str], step: Step, *, spaces: Spaces | None = None, require: bool = True) -> None:
    """Take the ledgers of those of ``ids`` that exist one step on. ``spaces``: those that the step may make entries in.

    Raises ``ServerError`` where the server refuses one; without ``require`` that is only logged.
    """

    def decide(id_: str, stored: Mapping[str, Any] | None) -> Change | None:
        if stored is None:
            return None
        before = read_ledger(stored)
        after = step(id_, before)
        return None if after is before else difference(before, after)

    outcomes = rewrite_in(server, spaces or {}, ids, decide)
    if require:
        require_written(outcomes)
    for id_, outcome in outcomes.items():
        if outcome.error is not None:
            _log.error("the search server refused to change the ledger of product %r: %s", id_, outcome.error)


def write_failures(server: Server, failures: Sequence[FailureWrite], policy: RetryPolicy, *, now: float) -> None:
    """``Ledger.write_failures``. Failures of content that has moved on, or that was settled meanwhile, change nothing."""
    if not failures:
        return
    spaces = read_spaces(server)
    fields = {space.key: field for field, space in spaces.fields.items()}
    by_product: dict[str, list[FailureWrite]] = {}
    for failure in failures:
        if failure.space in fields:
            by_product.setdefault(failure.product_id, []).append(failure)

    def count(id_: str, ledger: Ledger) -> Ledger:
        for failure in by_product[id_]:
            field = fields[failure.space]
            ledger = failure_counted(ledger, field, spaces.fields[field], failure, policy=policy, now=now)
        return ledger

    change_ledgers(server, list(by_product), count, spaces=spaces.fields)


def failures(server: Server, *, limit: int, after: tuple[str, str]) -> list[Failure]:
    """``Ledger.failures``; reads the products from ``after`` on, and no more of them than are asked for."""
    server.see(server.indices.products)
    spaces = read_spaces(server).fields
    found: list[Failure] = []
    for id_, ledger in _failed(server, spaces, from_id=after[0], size=min(limit + 1, PAGE)):
        for key, entry in ledger_entries(ledger, spaces).items():
            if entry.state is State.FAILED and (id_, key) > after:
                found.append(Failure(id_, entry))
        if len(found) >= limit:
            break
    return found[:limit]


def retry_failures(server: Server, ids: Sequence[str] | None, *, now: float) -> int:
    """``Ledger.retry_failures``. Named products go with the live changes, all of them as a backfill; what had to come alone still does."""
    spaces = read_spaces(server).fields
    priority = Priority.BACKFILL if ids is None else Priority.LIVE
    started: dict[str, int] = {}

    def start(id_: str, ledger: Ledger) -> Ledger:
        again = retried(ledger, spaces, priority=priority, now=now)
        started[id_] = states_changed(ledger, again, State.FAILED)
        return again

    if ids is not None:
        change_ledgers(server, ids, start)
        return sum(started.values())
    server.wrote(server.indices.products)  # failures that others have written are meant too
    server.see(server.indices.products)
    batch: list[str] = []
    for id_, _ in _failed(server, spaces):
        batch.append(id_)
        if len(batch) == PAGE:
            change_ledgers(server, batch, start)
            batch = []
    change_ledgers(server, batch, start)
    return sum(started.values())


def _failed(server: Server, spaces: Spaces, *, from_id: str = "", size: int = PAGE) -> Iterator[tuple[str, Ledger]]:
    """Products with a failed entry, in order of their ids, with their ledgers."""
    if not spaces:
        return
    clauses: list[dict[str, Any]] = [{"terms": {STATES["failed"]: list(spaces)}}]
    if from_id:
        clauses.append({"range": {"id": {"gte": from_id}}})
    query = {"bool": {"filter": clauses}}
    for hit in pages(server, server.indices.products, query, by="id", fields=["id", "hybrid.parts", "hybrid.ledger"], size=size):
        yield hit["_source"]["id"], read_ledger(hit["_source"])
