"""Products in and out of the store.

A changed part becomes ``pending`` and keeps the vectors of its old content until the new ones are written: for those seconds the
product is found a little out of date instead of not at all. Vectors go when their part goes, when the product is deleted, and when
the new content has finally failed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import (
    PRIORITIES,
    ProductRow,
    documents,
    dumps,
    id_list,
    last_seq,
    next_seq,
    products_by_id,
    read_spaces,
    slots_by_id,
)
from hybrid_search.engines.embedded.vectors import remove_vectors
from hybrid_search.schema import text_values
from hybrid_search.types import Document, Part, Priority, Space, State, WriteResult

Parts = Mapping[Part, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A write as it will be stored."""

    id: str
    body: bytes
    words: Mapping[str, str]
    parts: Parts
    parts_json: str


@dataclass(frozen=True, slots=True)
class _LedgerRow:
    parts: str
    waiting: bool
    priority: int


def put(db: Database, writes: Sequence[ProductWrite], *, priority: Priority, now: float) -> list[WriteResult]:
    """``Catalog.put`` without the wait for search: one transaction for all ``writes``."""
    prepared = [_prepare(write) for write in writes]
    results: list[WriteResult] = []
    with db.write() as connection:
        spaces = read_spaces(connection)
        seq = last_seq(connection) + 1
        for run in _runs_of_unique_ids(prepared):
            results += _put_run(connection, run, spaces, seq, PRIORITIES.index(priority), now)
        if any(result.result != "noop" for result in results):
            next_seq(connection)
    return results


def delete(db: Database, ids: Sequence[str]) -> list[WriteResult]:
    """``Catalog.delete`` without the wait for search. The row stays as a tombstone, so that its slot is never given to another id."""
    with db.write() as connection:
        slots = slots_by_id(connection, ids)
        if slots:
            seq = next_seq(connection)
            gone = id_list(slots.values())
            connection.execute(
                "UPDATE products SET deleted = 1, body = ?, parts = '{}', seq = ?, text_seq = ? WHERE slot IN (SELECT value FROM json_each(?))",
                (b"{}", seq, seq, gone),
            )
            connection.execute("DELETE FROM ledger WHERE slot IN (SELECT value FROM json_each(?))", (gone,))
            connection.execute(
                "UPDATE vectors SET rows = 0, data = NULL, seq = ? WHERE rows > 0 AND slot IN (SELECT value FROM json_each(?))", (seq, gone)
            )
    return [WriteResult(id_, "missing" if slots.pop(id_, None) is None else "deleted") for id_ in ids]


def fetch(db: Database, ids: Sequence[str]) -> list[Document | None]:
    """``Catalog.fetch``."""
    with db.read() as connection:
        rows = [row for row in products_by_id(connection, ids).values() if not row.deleted]
        found = {document.id: document for document in documents(connection, rows)}
    return [found.get(id_) for id_ in ids]


def scan(db: Database, *, after: str, limit: int) -> list[Document]:
    """``Catalog.scan``; ids are ordered by code point."""
    with db.read() as connection:
        rows = connection.execute(
            "SELECT slot, id, seq, text_seq, deleted, body, parts FROM products WHERE id > ? AND NOT deleted ORDER BY id LIMIT ?",
            (after, limit),
        )
        return documents(connection, [ProductRow(*row) for row in rows])


def _prepare(write: ProductWrite) -> _Prepared:
    body = write.product.body()
    parts: Parts = {part: tuple(hashes) for part, hashes in sorted(write.parts.items()) if hashes}
    return _Prepared(write.product.id, orjson.dumps(body), text_values(body), parts, dumps(parts))


def _runs_of_unique_ids(prepared: Iterable[_Prepared]) -> Iterator[list[_Prepared]]:
    """Cut where an id comes again, so that the later write of a batch sees the earlier one."""
    run: dict[str, _Prepared] = {}
    for write in prepared:
        if write.id in run:
            yield list(run.values())
            run = {}
        run[write.id] = write
    yield list(run.values())


def _put_run(
    connection: sqlite3.Connection, run: list[_Prepared], spaces: Sequence[Space], seq: int, priority: int, now: float
) -> list[WriteResult]:
    known = products_by_id(connection, [write.id for write in run])
    results: list[WriteResult] = []
    changed: dict[int, _Prepared] = {}
    for write in run:
        old = known.get(write.id)
        if old is not None and not old.deleted and _equal(old, write):
            results.append(WriteResult(write.id, "noop"))
            continue
        slot = _insert(connection, write, seq) if old is None else _update(connection, write, old, seq)
        changed[slot] = write
        results.append(WriteResult(write.id, "created" if old is None or old.deleted else "updated"))
    _follow_parts(connection, changed, spaces, seq, priority, now)
    return results


def _equal(old: ProductRow, write: _Prepared) -> bool:
    """Equal as JSON: the order of attributes is no change."""
    if old.parts != write.parts_json:
        return False
    return old.body == write.body or orjson.loads(old.body) == orjson.loads(write.body)


def _insert(connection: sqlite3.Connection, write: _Prepared, seq: int) -> int:
    cursor = connection.execute(
        "INSERT INTO products (id, seq, text_seq, body, parts) VALUES (?, ?, ?, ?, ?)", (write.id, seq, seq, write.body, write.parts_json)
    )
    return int(cursor.lastrowid or 0)


def _update(connection: sqlite3.Connection, write: _Prepared, old: ProductRow, seq: int) -> int:
    same_words = not old.deleted and text_values(orjson.loads(old.body)) == write.words
    connection.execute(
        "UPDATE products SET seq = ?, text_seq = ?, deleted = 0, body = ?, parts = ? WHERE slot = ?",
        (seq, old.text_seq if same_words else seq, write.body, write.parts_json, old.slot),
    )
    return old.slot


def _follow_parts(
    connection: sqlite3.Connection, changed: Mapping[int, _Prepared], spaces: Sequence[Space], seq: int, priority: int, now: float
) -> None:
    """Bring the ledger rows of changed products to their parts: new and changed ones pending, those of missing parts removed."""
    ledger = _ledger_rows(connection, changed)
    chunks = dict(
        connection.execute("SELECT m.slot, m.chunk FROM json_each(?) AS w CROSS JOIN members AS m ON m.slot = w.value", (id_list(changed),))
    )
    made: list[tuple[object, ...]] = []
    moved: list[tuple[object, ...]] = []
    gone: list[tuple[int, str]] = []
    for slot, write in changed.items():
        for space in spaces:
            old = ledger.get((slot, space.key))
            wanted = write.parts.get(space.part)
            if wanted is None:
                if old is not None:
                    gone.append((slot, space.key))
            elif old is None:
                made.append((slot, space.key, State.PENDING, space.model, dumps(wanted), now, priority, chunks.get(slot)))
            elif old.parts != dumps(wanted):
                urgency = min(priority, old.priority) if old.waiting else priority
                moved.append((State.PENDING, dumps(wanted), now, urgency, slot, space.key))
    connection.executemany(
        "INSERT INTO ledger (slot, space, state, model, parts, updated, priority, chunk) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", made
    )
    connection.executemany(
        "UPDATE ledger SET state = ?, parts = ?, attempts = 0, error = NULL, updated = ?, not_before = 0, priority = ?, alone = 0, counted = 0"
        " WHERE slot = ? AND space = ?",
        moved,
    )
    connection.executemany("DELETE FROM ledger WHERE slot = ? AND space = ?", gone)
    remove_vectors(connection, gone, seq)


def _ledger_rows(connection: sqlite3.Connection, slots: Iterable[int]) -> dict[tuple[int, str], _LedgerRow]:
    rows = connection.execute(
        "SELECT l.slot, l.space, l.parts, l.state, l.priority FROM json_each(?) AS w CROSS JOIN ledger AS l ON l.slot = w.value",
        (id_list(slots),),
    )
    return {(row[0], row[1]): _LedgerRow(row[2], row[3] == State.PENDING, row[4]) for row in rows}
