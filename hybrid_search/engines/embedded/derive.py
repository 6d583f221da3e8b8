"""One pass from the store to the derived files: what changed since the last manifest, read in one transaction, written behind it.

Used by the one process that holds the indexer's lock. Words are read again only for products whose words changed; a new price
writes one line of the columns' log, a new vector one row of its matrix.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import orjson

from hybrid_search.engines.embedded.arrays import save_arrays
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.product_columns import column_record, to_line
from hybrid_search.engines.embedded.rows import read_spaces
from hybrid_search.engines.embedded.snapshot import ColumnFiles, Manifest, SegmentFile, read_manifest, write_manifest
from hybrid_search.engines.embedded.text_segment import build_segment
from hybrid_search.engines.embedded.vector_files import SpaceFiles, VectorAppender, VectorDtype, open_rows, read_dead
from hybrid_search.schema import text_values
from hybrid_search.types import Space

SEGMENT_PRODUCTS = 20_000
"""Products per new text segment, at most: bounds the memory of a rebuild."""
VECTOR_BATCH = 2_048


def empty_manifest(store: str) -> Manifest:
    """A start from nothing; the random part keeps its files apart from those of earlier starts."""
    epoch = secrets.token_hex(4)
    return Manifest(store, 0, 1, 0, (), ColumnFiles(f"{epoch}-c0", 0, f"{epoch}-c1", 0, 0))


class Deriver:
    """Holds what is needed to continue from the current manifest: where each product's rows are in each matrix."""

    def __init__(self, folder: Path, db: Database, dtype: VectorDtype) -> None:
        self._folder = folder
        self._db = db
        self._dtype: VectorDtype = dtype
        self._places: dict[str, _Places] = {}
        self.manifest: Manifest | None = None

    def catch_up(self) -> bool:
        """Derive what changed. Returns False when there was nothing to do. Raises ``OSError`` when the disk refuses."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._db.read() as connection:
            last, store = connection.execute("SELECT last, store FROM sequence").fetchone()
            before = read_manifest(self._folder)
            if before is None or before.store != store or before.seq > last:
                before = empty_manifest(store)
            elif before.seq == last:
                self.manifest = before
                return False
            self._places = {name: places for name, places in self._places.items() if name in before.stems()}
            after = self._derive(connection, before, last)
        self.publish(after)
        return True

    def publish(self, manifest: Manifest) -> None:
        write_manifest(self._folder, manifest)
        self.manifest = manifest

    def _derive(self, connection: sqlite3.Connection, before: Manifest, last: int) -> Manifest:
        number = before.number + 1
        slots = int(connection.execute("SELECT coalesce(max(slot), 0) + 1 FROM products").fetchone()[0])
        return replace(
            before,
            seq=last,
            slots=slots,
            number=number,
            columns=self._extend_columns(connection, before),
            text=(*before.text, *self._new_segments(connection, before)),
            spaces={space.key: self._extend_space(connection, before, space, slots) for space in read_spaces(connection)},
        )

    def _extend_columns(self, connection: sqlite3.Connection, before: Manifest) -> ColumnFiles:
        columns = before.columns
        (self._folder / f"{columns.base}.lines").touch()
        rows = connection.execute("SELECT slot, id, deleted, body FROM products WHERE seq > ?", (before.seq,))
        lines = 0
        path = self._folder / f"{columns.log}.lines"
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(columns.size)
            file.seek(columns.size)
            for slot, id_, deleted, body in rows:
                file.write(to_line(column_record(slot, id_, None if deleted else orjson.loads(body))))
                lines += 1
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
        return replace(columns, size=size, lines=columns.lines + lines)

    def _new_segments(self, connection: sqlite3.Connection, before: Manifest) -> list[SegmentFile]:
        rows = connection.execute("SELECT slot, deleted, body FROM products WHERE text_seq > ?", (before.seq,))
        number = max((segment.number for segment in before.text), default=0)
        epoch = before.columns.log.split("-")[0]
        made: list[SegmentFile] = []
        while batch := rows.fetchmany(SEGMENT_PRODUCTS):
            number += 1
            batch.sort()
            arrays = build_segment((slot, {} if deleted else text_values(orjson.loads(body))) for slot, deleted, body in batch)
            name = f"{epoch}-t{number}"
            save_arrays(self._folder / f"{name}.text", arrays)
            made.append(SegmentFile(name, number, len(arrays["docs"]), len(arrays["slots"])))
        return made

    def _extend_space(self, connection: sqlite3.Connection, before: Manifest, space: Space, slots: int) -> SpaceFiles:
        ordinal = int(connection.execute("SELECT ordinal FROM spaces WHERE key = ?", (space.key,)).fetchone()[0])
        files, since = before.spaces.get(space.key), before.seq
        if files is None or (files.ordinal, files.dtype) != (ordinal, self._dtype):
            epoch = before.columns.log.split("-")[0]
            files, since = SpaceFiles(f"{epoch}-v{ordinal}-{before.number + 1}", ordinal, space.dim, self._dtype), 0
        batches = _vector_batches(connection, space, since)
        first = next(batches, None)
        if first is None:
            return files
        places = self._places.get(files.name)
        if places is None:
            places = self._places[files.name] = _Places(self._folder, files)
        places.grow(slots)
        with closing(VectorAppender(self._folder, files)) as appender:
            for batch in chain([first], batches):
                _append(appender, places, batch, space.dim)
            return appender.flush()


def _vector_batches(connection: sqlite3.Connection, space: Space, since: int) -> Iterator[list[tuple[int, int, bytes | None]]]:
    rows = connection.execute("SELECT slot, rows, data FROM vectors WHERE space = ? AND seq > ?", (space.key, since))
    while batch := rows.fetchmany(VECTOR_BATCH):
        yield batch


def _append(appender: VectorAppender, places: _Places, batch: list[tuple[int, int, bytes | None]], dim: int) -> None:
    """Replace the rows of these products."""
    dead = places.take([slot for slot, _, _ in batch])
    if len(dead):
        appender.kill(dead)
    counts = np.array([count for _, count, _ in batch], dtype=np.int32)
    vectors = np.frombuffer(b"".join(data for _, _, data in batch if data), dtype="<f4").reshape(-1, dim)
    if len(vectors):
        slots = np.array([slot for slot, _, _ in batch], dtype=np.int32)
        rows = appender.add(np.repeat(slots, counts), vectors)
        places.put(slots, counts, rows.start)


class _Places:
    """First row and number of rows of each product in one matrix."""

    def __init__(self, folder: Path, files: SpaceFiles) -> None:
        slots = open_rows(folder, files).slots
        alive = np.ones(files.rows, dtype=np.bool_)
        alive[read_dead(folder, files)] = False
        rows = np.flatnonzero(alive)
        size = int(slots.max()) + 1 if len(slots) else 1
        self._first = np.zeros(size, dtype=np.int32)
        self._count = np.bincount(slots[rows], minlength=size).astype(np.int32)
        self._first[slots[rows[::-1]]] = rows[::-1]

    def grow(self, slots: int) -> None:
        missing = slots - len(self._first)
        if missing > 0:
            self._first, self._count = (np.concatenate([a, np.zeros(missing, dtype=np.int32)]) for a in (self._first, self._count))

    def take(self, slots: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        """The rows of these products, which have none from now on."""
        held = [slot for slot in slots if self._count[slot]]
        rows = [row for slot in held for row in range(self._first[slot], self._first[slot] + self._count[slot])]
        self._count[held] = 0
        return np.array(rows, dtype=np.int32)

    def put(
        self, slots: np.ndarray[tuple[int, ...], np.dtype[np.int32]], counts: np.ndarray[tuple[int, ...], np.dtype[np.int32]], first: int
    ) -> None:
        self._first[slots] = first + np.cumsum(counts) - counts
        self._count[slots] = counts
