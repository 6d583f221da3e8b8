"""Chunks: which pending products are being worked on, and what becomes of those whose worker died.

A chunk is made of products, not of (product, space) pairs, so that one task embeds all a product waits for. While a product is in
an open chunk, whatever else becomes pending of it waits for that chunk to close: no product is ever in two.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence

import orjson

from hybrid_search.engines.attempts import WORKER_DIED
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import PRIORITIES, dumps, id_list, next_seq
from hybrid_search.engines.embedded.vectors import remove_vectors
from hybrid_search.types import Chunk, Priority

CHUNKS_PER_TRANSACTION = 16
"""A long list of chunks is opened in several transactions, so that a shop's write waits for none of them for long."""

_WAITING = (
    "SELECT slot FROM ledger INDEXED BY ledger_waiting WHERE state = 'pending' AND chunk IS NULL"
    " AND priority = ? AND alone = ? AND not_before <= ? ORDER BY not_before, slot"
)
_MEMBERS = "(SELECT slot FROM members WHERE chunk = ?)"


def open_chunks(db: Database, *, at_most: int, size: int, now: float, backfill: int | None = None) -> list[Chunk]:
    """``Ledger.open_chunks``. Within a priority, chunks of several products take turns with products that come alone: neither starves."""
    opened: list[Chunk] = []
    while True:
        with db.write() as connection:
            room = at_most - int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
            batch = _open_some(connection, min(room, CHUNKS_PER_TRANSACTION), size, now, backfill)
        opened += batch
        if backfill is not None:
            backfill -= sum(len(chunk.product_ids) for chunk in batch if chunk.priority is Priority.BACKFILL)
        if len(batch) < CHUNKS_PER_TRANSACTION:
            return opened


def start_chunk(db: Database, chunk_id: str, *, now: float) -> Chunk | None:
    """``Ledger.start_chunk``."""
    with db.write() as connection:
        row = connection.execute(
            "UPDATE chunks SET state = 'running', started = ?, beat = ? WHERE id = ? AND state = 'queued' RETURNING id, product_ids, priority",
            (now, now, chunk_id),
        ).fetchone()
        if row is None:
            return None
        chunk = _chunk(*row)
        if len(chunk.product_ids) == 1:
            connection.execute(
                f"UPDATE ledger SET attempts = attempts + 1, counted = 1 WHERE state = 'pending' AND slot IN {_MEMBERS}", (chunk_id,)
            )
        return chunk


def beat_chunk(db: Database, chunk_id: str, *, now: float) -> bool:
    """``Ledger.beat_chunk``."""
    with db.write() as connection:
        return connection.execute("UPDATE chunks SET beat = ? WHERE id = ? AND state = 'running'", (now, chunk_id)).rowcount == 1


def finish_chunk(db: Database, chunk_id: str) -> None:
    """``Ledger.finish_chunk``. An attempt that ended in neither a failure nor a death is taken back."""
    with db.write() as connection:
        connection.execute(f"UPDATE ledger SET attempts = attempts - counted WHERE slot IN {_MEMBERS}", (chunk_id,))
        _close(connection, chunk_id)


def give_up_chunks(db: Database, *, silent_for: float, max_attempts: int, now: float) -> int:
    """``Ledger.give_up_chunks``."""
    with db.write() as connection:
        dead = connection.execute(
            "SELECT id, product_ids, priority FROM chunks WHERE state = 'running' AND beat <= ? ORDER BY id", (now - silent_for,)
        ).fetchall()
        for row in dead:
            _bury(connection, _chunk(*row).id, max_attempts, now)
    return len(dead)


def stale_chunks(db: Database, *, queued_for: float, now: float) -> list[Chunk]:
    """``Ledger.stale_chunks``, longest waiting first."""
    with db.write() as connection:
        rows = connection.execute(
            "SELECT id, product_ids, priority FROM chunks WHERE state = 'queued' AND beat <= ? ORDER BY beat, id", (now - queued_for,)
        ).fetchall()
        connection.executemany("UPDATE chunks SET beat = ? WHERE id = ?", [(now, row[0]) for row in rows])
    return [_chunk(*row) for row in rows]


def _open_some(connection: sqlite3.Connection, room: int, size: int, now: float, backfill: int | None) -> list[Chunk]:
    """Rounds of one chunk of several products and one of a product that comes alone, live ones until there are no more, then backfill."""
    opened: list[Chunk] = []
    for priority, name in enumerate(PRIORITIES):
        left = backfill if name is Priority.BACKFILL else None
        found = True
        while found and len(opened) < room and left != 0:
            together = _take_together(connection, priority, size if left is None else min(size, left), now)
            if together:
                opened.append(_open(connection, together, priority, now))
            left = None if left is None else left - len(together)
            alone = _first(connection, priority, alone=True, size=1, now=now) if len(opened) < room and left != 0 else []
            left = None if left is None else left - len(alone)
            if alone:
                opened.append(_open(connection, alone, priority, now))
            found = bool(together or alone)
    return opened


def _take_together(connection: sqlite3.Connection, priority: int, size: int, now: float) -> list[int]:
    """The next products that may share a chunk. One that must come alone for another space is set aside with all that is pending of it."""
    while slots := _first(connection, priority, alone=False, size=size, now=now):
        aside = connection.execute(
            "SELECT DISTINCT l.slot FROM json_each(?) AS w CROSS JOIN ledger AS l ON l.slot = w.value WHERE l.state = 'pending' AND l.alone",
            (id_list(slots),),
        ).fetchall()
        if not aside:
            return slots
        connection.executemany("UPDATE ledger SET alone = 1 WHERE slot = ? AND state = 'pending'", aside)
    return []


def _first(connection: sqlite3.Connection, priority: int, *, alone: bool, size: int, now: float) -> list[int]:
    """Up to ``size`` different products in the order of the index; reads no more rows than it needs."""
    slots: dict[int, None] = {}
    cursor = connection.execute(_WAITING, (priority, int(alone), now))
    for (slot,) in cursor:
        slots[slot] = None
        if len(slots) == size:
            break
    cursor.close()
    return list(slots)


def _open(connection: sqlite3.Connection, slots: Sequence[int], priority: int, now: float) -> Chunk:
    chunk_id = uuid.uuid4().hex
    ids = [
        id_
        for (id_,) in connection.execute(
            "SELECT p.id FROM json_each(?) AS w CROSS JOIN products AS p ON p.slot = w.value", (id_list(slots),)
        )
    ]
    connection.execute(
        "INSERT INTO chunks (id, priority, state, product_ids, created, beat) VALUES (?, ?, 'queued', ?, ?, ?)",
        (chunk_id, priority, dumps(ids), now, now),
    )
    connection.executemany("INSERT INTO members VALUES (?, ?)", [(slot, chunk_id) for slot in slots])
    connection.execute(f"UPDATE ledger SET chunk = ? WHERE slot IN {_MEMBERS}", (chunk_id, chunk_id))
    return Chunk(chunk_id, tuple(ids), PRIORITIES[priority])


def _bury(connection: sqlite3.Connection, chunk_id: str, max_attempts: int, now: float) -> None:
    used_up = connection.execute(
        f"SELECT slot, space FROM ledger WHERE state = 'pending' AND counted AND attempts >= ? AND slot IN {_MEMBERS}",
        (max_attempts, chunk_id),
    ).fetchall()
    connection.executemany(
        "UPDATE ledger SET state = 'failed', error = ?, updated = ? WHERE slot = ? AND space = ?",
        [(WORKER_DIED, now, slot, space) for slot, space in used_up],
    )
    connection.execute(f"UPDATE ledger SET alone = 1, updated = ? WHERE state = 'pending' AND slot IN {_MEMBERS}", (now, chunk_id))
    _close(connection, chunk_id)
    forget_vectors(connection, used_up)


def forget_vectors(connection: sqlite3.Connection, failed: Sequence[tuple[int, str]]) -> None:
    """Remove the vectors of (slot, space) pairs whose present content has failed: they describe content that is gone."""
    held = [pair for pair in failed if _has_vectors(connection, pair)]
    if held:
        remove_vectors(connection, held, next_seq(connection))


def _has_vectors(connection: sqlite3.Connection, pair: tuple[int, str]) -> bool:
    return connection.execute("SELECT 1 FROM vectors WHERE slot = ? AND space = ? AND rows > 0", pair).fetchone() is not None


def _close(connection: sqlite3.Connection, chunk_id: str) -> None:
    connection.execute(f"UPDATE ledger SET chunk = NULL, counted = 0 WHERE slot IN {_MEMBERS}", (chunk_id,))
    connection.execute("DELETE FROM members WHERE chunk = ?", (chunk_id,))
    connection.execute("DELETE FROM chunks WHERE id = ?", (chunk_id,))


def _chunk(chunk_id: str, product_ids: str, priority: int) -> Chunk:
    return Chunk(chunk_id, tuple(orjson.loads(product_ids)), PRIORITIES[priority])
