"""Vectors in and out of the store: float32, written only while the ledger still names the content they were made from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import dumps, id_list, last_seq, next_seq, read_spaces, slots_by_id
from hybrid_search.engines.fitting import require_fit
from hybrid_search.types import FloatMatrix, State, VectorWrite, WriteResult

_STORED = np.dtype("<f4")


def write_vectors(db: Database, writes: Sequence[VectorWrite], *, now: float) -> list[WriteResult]:
    """``Vectors.write_vectors``: one transaction for all; a refused dimension refuses the whole batch."""
    with db.write() as connection:
        spaces = {space.key: space for space in read_spaces(connection)}
        for write in writes:
            require_fit(write, spaces.get(write.space))
        slots = slots_by_id(connection, {write.product_id for write in writes})
        seq = last_seq(connection) + 1
        results = [_write_one(connection, write, slots.get(write.product_id), seq, now) for write in writes]
        if any(result.result == "updated" for result in results):
            next_seq(connection)
    return results


def read_vectors(db: Database, space: str, ids: Sequence[str]) -> list[FloatMatrix | None]:
    """``Vectors.read_vectors``."""
    with db.read() as connection:
        rows = connection.execute(
            "SELECT p.id, v.rows, v.data FROM json_each(?) AS w CROSS JOIN products AS p ON p.id = w.value"
            " CROSS JOIN vectors AS v ON v.slot = p.slot AND v.space = ? WHERE v.rows > 0",
            (id_list(ids), space),
        )
        found = {id_: _matrix(count, data) for id_, count, data in rows}
    return [found.get(id_) for id_ in ids]


def remove_vectors(connection: sqlite3.Connection, pairs: Iterable[tuple[int, str]], seq: int) -> int:
    """Empty the vectors of these (slot, space) pairs under the number ``seq``; returns how many had any."""
    removed = connection.executemany(
        "UPDATE vectors SET rows = 0, data = NULL, seq = ? WHERE slot = ? AND space = ? AND rows > 0",
        [(seq, slot, space) for slot, space in pairs],
    )
    return max(removed.rowcount, 0)


def _write_one(connection: sqlite3.Connection, write: VectorWrite, slot: int | None, seq: int, now: float) -> WriteResult:
    if slot is None:
        return WriteResult(write.product_id, "missing")
    entry = connection.execute("SELECT parts, state, error FROM ledger WHERE slot = ? AND space = ?", (slot, write.space)).fetchone()
    if entry is None or entry[0] != dumps(write.parts):
        return WriteResult(write.product_id, "noop")
    count, data = len(write.vectors), np.ascontiguousarray(write.vectors, dtype=_STORED).tobytes()
    if entry[1:] == (State.READY, write.error) and _stored(connection, slot, write.space) == (count, data):
        return WriteResult(write.product_id, "noop")
    connection.execute(
        "INSERT INTO vectors (slot, space, seq, rows, data) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seq = excluded.seq, rows = excluded.rows, data = excluded.data",
        (slot, write.space, seq, count, data if count else None),
    )
    connection.execute(
        "UPDATE ledger SET state = ?, attempts = 0, error = ?, updated = ?, not_before = 0, alone = 0, counted = 0 WHERE slot = ? AND space = ?",
        (State.READY, write.error, now, slot, write.space),
    )
    return WriteResult(write.product_id, "updated")


def _stored(connection: sqlite3.Connection, slot: int, space: str) -> tuple[int, bytes] | None:
    row = connection.execute("SELECT rows, data FROM vectors WHERE slot = ? AND space = ?", (slot, space)).fetchone()
    return None if row is None else (row[0], row[1] or b"")


def _matrix(count: int, data: bytes) -> FloatMatrix:
    return np.frombuffer(data, dtype=_STORED).reshape(count, -1).astype(np.float32)
