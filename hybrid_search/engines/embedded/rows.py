"""Rows of the store and the nouns they stand for: JSON columns, look-ups by id, the change sequence."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hybrid_search.types import Document, LedgerEntry, Part, Priority, Space, State

PRIORITIES: tuple[Priority, ...] = (Priority.LIVE, Priority.BACKFILL)
"""A priority's number in the tables is its place here: the smaller goes first."""


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product as stored; ``deleted`` ones are tombstones."""

    slot: int
    id: str
    seq: int
    text_seq: int
    deleted: bool
    body: bytes
    parts: str


def dumps(value: object) -> str:
    """Compact JSON text."""
    return orjson.dumps(value).decode()


def hashes(parts: str) -> tuple[str, ...]:
    """The content hashes of a ledger row's ``parts``."""
    return tuple(orjson.loads(parts))


def next_seq(connection: sqlite3.Connection) -> int:
    """The number of this write transaction."""
    return int(connection.execute("UPDATE sequence SET last = last + 1 RETURNING last").fetchone()[0])


def last_seq(connection: sqlite3.Connection) -> int:
    """The number of the last transaction that changed a product, a vector or the list of spaces."""
    return int(connection.execute("SELECT last FROM sequence").fetchone()[0])


def id_list(ids: Iterable[object]) -> str:
    """``ids`` for ``json_each(?)``: one bound value however many there are.

    Escaped to ASCII, so that a string that is no text (half a surrogate pair) is merely unknown.
    """
    return json.dumps(list(ids))


def products_by_id(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, ProductRow]:
    """Stored rows of those ``ids`` that ever existed, tombstones included."""
    rows = connection.execute(
        "SELECT p.slot, p.id, p.seq, p.text_seq, p.deleted, p.body, p.parts FROM json_each(?) AS w CROSS JOIN products AS p ON p.id = w.value",
        (id_list(ids),),
    )
    return {row[1]: ProductRow(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6]) for row in rows}


def slots_by_id(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, int]:
    """Row numbers of those ``ids`` that exist now."""
    rows = connection.execute(
        "SELECT p.id, p.slot FROM json_each(?) AS w CROSS JOIN products AS p ON p.id = w.value WHERE NOT p.deleted", (id_list(ids),)
    )
    return dict(rows.fetchall())


def entry(space: str, state: str, model: str, parts: str, attempts: int, error: str | None, updated: float) -> LedgerEntry:
    """A ledger entry from its columns, in the order of ``ENTRY_COLUMNS``."""
    return LedgerEntry(space, State(state), model, hashes(parts), attempts, error, updated)


ENTRY_COLUMNS = "l.space, l.state, l.model, l.parts, l.attempts, l.error, l.updated"


def documents(connection: sqlite3.Connection, rows: Sequence[ProductRow]) -> list[Document]:
    """Documents of living ``rows``, with their ledgers in order of space key."""
    ledgers: dict[int, dict[str, LedgerEntry]] = {row.slot: {} for row in rows}
    found = connection.execute(
        f"SELECT l.slot, {ENTRY_COLUMNS} FROM json_each(?) AS w CROSS JOIN ledger AS l ON l.slot = w.value ORDER BY l.slot, l.space",
        (id_list(ledgers),),
    )
    for slot, *columns in found:
        ledgers[slot][columns[0]] = entry(*columns)
    return [Document(row.id, orjson.loads(row.body), ledgers[row.slot], row.seq) for row in rows]


def read_spaces(connection: sqlite3.Connection) -> tuple[Space, ...]:
    """All spaces, in order of creation."""
    return tuple(_space(orjson.loads(body)) for (body,) in connection.execute("SELECT body FROM spaces ORDER BY ordinal"))


def _space(body: Mapping[str, Any]) -> Space:
    part: Part = body["part"]
    return Space(body["name"], body["version"], body["dim"], part, body["model"], body["query_models"])
