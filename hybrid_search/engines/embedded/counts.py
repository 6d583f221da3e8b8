"""The figures of ``status``: read from counters that triggers keep, so that asking every second costs nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from hybrid_search.engines.base import QueueCounts
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import last_seq, read_spaces
from hybrid_search.types import State


@dataclass(frozen=True, slots=True)
class Counts:
    """Products, entries by space key and state, chunks, and the sequence number they were read at."""

    products: int
    states: dict[str, dict[State, int]]
    queue: QueueCounts
    seq: int


def read_counts(db: Database, *, now: float) -> Counts:
    """All counters from one snapshot."""
    with db.read() as connection:
        states = {space.key: dict.fromkeys(State, 0) for space in read_spaces(connection)}
        products = 0
        for space, state, n in connection.execute("SELECT space, state, n FROM counts"):
            if space:
                states[space][State(state)] = n
            else:
                products = n
        return Counts(products, states, _queue(connection, now), last_seq(connection))


def _queue(connection: sqlite3.Connection, now: float) -> QueueCounts:
    """The open chunks are some thousand rows at most: counted as they are."""
    rows = {
        state: (count, created, beat)
        for state, count, created, beat in connection.execute("SELECT state, count(*), min(created), min(beat) FROM chunks GROUP BY state")
    }
    queued, oldest, _ = rows.get("queued", (0, now, now))
    running, _, stalest = rows.get("running", (0, now, now))
    return QueueCounts(queued, running, max(now - oldest, 0.0), max(now - stalest, 0.0))
