"""Mending ledgers: bringing the rows of a product to the content it has, only while nobody else has written it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import PRIORITIES, ProductRow, dumps, last_seq, next_seq, products_by_id, read_spaces
from hybrid_search.engines.embedded.vectors import remove_vectors
from hybrid_search.types import Priority, Requeue, Space, State


def requeue(db: Database, requests: Sequence[Requeue], *, now: float) -> int:
    """``Ledger.requeue``: one transaction for all."""
    with db.write() as connection:
        spaces = read_spaces(connection)
        rows = products_by_id(connection, [request.product_id for request in requests])
        seq = last_seq(connection) + 1
        changed, removed = 0, 0
        for request in requests:
            row = rows.get(request.product_id)
            if row is None or row.deleted or row.seq != request.seq:
                continue
            moved, gone = _mend(connection, row, request, spaces, seq, now)
            changed += moved
            removed += gone
        if removed:
            next_seq(connection)
    return changed


def _mend(
    connection: sqlite3.Connection, row: ProductRow, request: Requeue, spaces: Sequence[Space], seq: int, now: float
) -> tuple[bool, int]:
    """Whether anything of the product was changed, and how many vectors were removed."""
    parts = {part: list(hashes) for part, hashes in sorted(request.parts.items()) if hashes}
    stored = dumps(parts)
    moved = row.parts != stored
    if moved:
        connection.execute("UPDATE products SET parts = ? WHERE slot = ?", (stored, row.slot))
    entries = dict(connection.execute("SELECT space, parts FROM ledger WHERE slot = ?", (row.slot,)))
    removed = 0
    for space in spaces:
        wanted = parts.get(space.part)
        if wanted is None:
            moved |= connection.execute("DELETE FROM ledger WHERE slot = ? AND space = ?", (row.slot, space.key)).rowcount > 0
            removed += remove_vectors(connection, [(row.slot, space.key)], seq)
        elif space.key in request.spaces or entries.get(space.key) != dumps(wanted):
            _pending(connection, row.slot, space, dumps(wanted), now)
            moved = True
    return moved or removed > 0, removed


def _pending(connection: sqlite3.Connection, slot: int, space: Space, parts: str, now: float) -> None:
    connection.execute(
        "INSERT INTO ledger (slot, space, state, model, parts, updated, priority, chunk)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT chunk FROM members WHERE slot = ?))"
        " ON CONFLICT DO UPDATE SET state = excluded.state, model = excluded.model, parts = excluded.parts, attempts = 0, error = NULL,"
        " updated = excluded.updated, not_before = 0, priority = excluded.priority, alone = 0, counted = 0",
        (slot, space.key, State.PENDING, space.model, parts, now, PRIORITIES.index(Priority.BACKFILL), slot),
    )
