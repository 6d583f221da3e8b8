"""Failed tries: counting them, pausing, giving up, listing, starting again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import Failure
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.ledger import forget_vectors
from hybrid_search.engines.embedded.rows import ENTRY_COLUMNS, PRIORITIES, dumps, entry, id_list, slots_by_id
from hybrid_search.types import FailureWrite, Priority, State


def write_failures(db: Database, failures: Sequence[FailureWrite], policy: RetryPolicy, *, now: float) -> None:
    """``Ledger.write_failures``. Failures of content that has moved on, or that was settled meanwhile, change nothing."""
    with db.write() as connection:
        slots = slots_by_id(connection, {failure.product_id for failure in failures})
        given_up: list[tuple[int, str]] = []
        for failure in failures:
            slot = slots.get(failure.product_id)
            if slot is not None and _write_one(connection, failure, slot, policy, now):
                given_up.append((slot, failure.space))
        forget_vectors(connection, given_up)


def failures(db: Database, *, limit: int, after: tuple[str, str]) -> list[Failure]:
    """``Ledger.failures``; reads every failed row to sort it, none of the others."""
    with db.read() as connection:
        rows = connection.execute(
            f"SELECT p.id, {ENTRY_COLUMNS} FROM ledger AS l INDEXED BY ledger_failed CROSS JOIN products AS p ON p.slot = l.slot"
            " WHERE l.state = 'failed' AND (p.id, l.space) > (?, ?) ORDER BY p.id, l.space LIMIT ?",
            (*after, limit),
        )
        return [Failure(id_, entry(*columns)) for id_, *columns in rows]


def retry_failures(db: Database, ids: Sequence[str] | None, *, now: float) -> int:
    """``Ledger.retry_failures``. Named products go with the live changes, all of them as a backfill; what had to come alone still does."""
    fresh = "UPDATE ledger SET state = ?, attempts = 0, error = NULL, updated = ?, not_before = 0, priority = ? WHERE state = 'failed'"
    with db.write() as connection:
        if ids is None:
            return connection.execute(fresh, (State.PENDING, now, PRIORITIES.index(Priority.BACKFILL))).rowcount
        slots = id_list(slots_by_id(connection, ids).values())
        return connection.execute(
            f"{fresh} AND slot IN (SELECT value FROM json_each(?))", (State.PENDING, now, PRIORITIES.index(Priority.LIVE), slots)
        ).rowcount


def _write_one(connection: sqlite3.Connection, failure: FailureWrite, slot: int, policy: RetryPolicy, now: float) -> bool:
    """Count one failed try; true when it was the last."""
    row = connection.execute(
        "SELECT attempts, counted FROM ledger WHERE slot = ? AND space = ? AND state = 'pending' AND parts = ?",
        (slot, failure.space, dumps(failure.parts)),
    ).fetchone()
    if row is None:
        return False
    if failure.postpone is not None:
        connection.execute(
            "UPDATE ledger SET attempts = attempts - counted, counted = 0, error = ?, updated = ?, not_before = ? WHERE slot = ? AND space = ?",
            (failure.error, now, now + failure.postpone, slot, failure.space),
        )
        return False
    attempts = row[0] + (0 if row[1] else 1)
    last = failure.final or attempts >= policy.max_attempts
    connection.execute(
        "UPDATE ledger SET state = ?, attempts = ?, error = ?, updated = ?, not_before = ?, alone = 1, counted = 0 WHERE slot = ? AND space = ?",
        (
            State.FAILED if last else State.PENDING,
            attempts,
            failure.error,
            now,
            0.0 if last else now + policy.wait(attempts),
            slot,
            failure.space,
        ),
    )
    return last
