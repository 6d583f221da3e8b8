"""The embedded engine's change records: ``changes.sqlite`` in the home folder, made when the first change comes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import orjson

from hybrid_search.engines.changes import ChangeRecord
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import dumps, id_list

STEPS = (
    """
    CREATE TABLE records (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        body TEXT
    ) WITHOUT ROWID;
    """,
)


class EmbeddedChanges:
    """``ChangeStore`` of one folder that any number of processes of one machine may share."""

    def __init__(self, home: Path) -> None:
        self._path = home / "changes.sqlite"
        self._lock = threading.Lock()
        self._opened: Database | None = None

    @property
    def _db(self) -> Database:
        with self._lock:
            self._opened = self._opened or Database(self._path, STEPS)
            return self._opened

    def advance(self, records: Sequence[ChangeRecord]) -> list[bool]:
        kept: list[bool] = []
        with self._db.write() as connection:
            for record in records:
                body = None if record.body is None else dumps(dict(record.body))
                done = connection.execute(
                    "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body"
                    " WHERE excluded.version > records.version",
                    (record.product_id, record.version, body),
                )
                kept.append(done.rowcount == 1)
        return kept

    def newest(self, ids: Sequence[str]) -> list[ChangeRecord | None]:
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT r.id, r.version, r.body FROM json_each(?) AS w CROSS JOIN records AS r ON r.id = w.value", (id_list(ids),)
            ).fetchall()
        found = {id_: ChangeRecord(id_, version, None if body is None else orjson.loads(body)) for id_, version, body in rows}
        return [found.get(id_) for id_ in ids]

    def close(self) -> None:
        """Close this process's connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
