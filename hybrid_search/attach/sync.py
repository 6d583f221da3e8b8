"""Keeping a side index like a foreign one: a first reading, then what changed, and now and then a comparison of all ids.

Every step only reads theirs, and may be repeated: an equal product is no write of ours. A process that dies goes on from the position file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hybrid_search.attach.check import dated_ahead, follow_fault
from hybrid_search.attach.config import DOCUMENT_ID, AttachConfig
from hybrid_search.attach.position import Position, PositionFile
from hybrid_search.attach.reading import ProductReader
from hybrid_search.attach.rejects import RejectList
from hybrid_search.attach.source import PAGE, Source, SourceDocument
from hybrid_search.catalog.rows import Accepted, CatalogSummary, Reject, Row
from hybrid_search.engines.base import Catalog, ProductWrite, scan_all
from hybrid_search.errors import ConflictError, SettingsError
from hybrid_search.indexing.parts import ImageHashes, part_hashes
from hybrid_search.types import Priority

BATCH = 200
"""Products per write."""

OnProgress = Callable[[int, int], None]
"""Documents done and documents there are."""


@dataclass(slots=True)
class SyncSummary(CatalogSummary):
    """What one round did. ``kind`` is what it read: ``full`` or ``changes``; ``compared`` whether ids were compared.

    ``listed`` documents are in the list of rejects afterwards: of this round, and of earlier ones that nobody mended.
    """

    kind: str = ""
    compared: bool = False
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)
    listed: int = 0
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


_SKEW = 3_600.0
"""Seconds by which their server's clock may be before ours."""


class Follower:
    """Follows one foreign index into our engine. Use inside ``PositionFile.hold``.

    Args:
        source: theirs.
        engine: ours: a side index that holds nothing but what comes from ``source``.
        config: the attach file.
        hashes: content hashes of pictures.
        positions: where the position is kept.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        source: Source,
        engine: Catalog,
        config: AttachConfig,
        hashes: ImageHashes,
        positions: PositionFile,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source, self._engine, self._follow = source, engine, config.follow
        self._reader, self._hashes, self._positions, self._now = ProductReader(config), hashes, positions, clock
        self._fault = follow_fault(source.index, config)
        self._id_path, self._reading = config.id_path, config.reading
        self._rejects = RejectList(positions.rejects)
        self._refused: set[str] = set()

    def round(self, *, compare: bool | None = None, full: bool = False, on_progress: OnProgress = lambda done, total: None) -> SyncSummary:
        """Take what is new. ``compare`` forces or forbids the comparison of ids; by default it is made when it is due.

        With ``full`` everything is read, as the first time; a full reading that was cut off goes on.

        Raises:
            ConflictError: the comparison would delete more than ``follow.delete_at_most``; nothing was deleted.
            EngineError, EngineUnavailable: theirs or ours could not be read or written; the next round goes on from here.
            SettingsError: ``follow.field`` cannot be followed.
        """
        if self._fault:
            raise SettingsError(self._fault, field="follow.field", value=self._follow.field, remedy="See hybrid-search attach --check.")
        started = time.monotonic()
        summary = SyncSummary()
        self._refused.clear()
        position = self._positions.read(self._source.index.uuid, self._reading)
        if position.full_done and not self._engine.scan(limit=1):  # our side was emptied or made anew: its changes alone would not fill it
            position = Position(position.uuid, position.reading)
        if self._beyond_now(position):  # of a clock that was set back since: what was written in between has smaller values
            position = Position(position.uuid, position.reading)
        if full or not position.full_done or not self._follow.field:
            summary.kind = "full"
            self._full(position, summary, on_progress)
        else:
            summary.kind = "changes"
            self._changes(position, summary, on_progress)
        summary.warnings += dated_ahead(self._source, self._follow)
        due = self._now() - position.compared >= self._follow.compare_every
        if compare if compare is not None else due or summary.kind == "full":
            self._compare(summary)
            position.compared = self._now()
            self._positions.write(position)
        summary.listed = len(self._rejects)
        summary.seconds = time.monotonic() - started
        return summary

    def _full(self, position: Position, summary: SyncSummary, on_progress: OnProgress) -> None:
        if position.full_done:
            position.full_after, position.full_done = None, False
        if self._follow.field and position.changed_at_start is None:
            position.changed_at_start = self._source.newest(self._follow.field, dated=self._dated)
        order = self._id_order()
        total, done = self._source.count(), 0
        for documents in self._source.read(sort=order, since=position.full_after, fields=self._fields):
            self._put(documents, summary, Priority.BACKFILL)
            done += len(documents)
            if order:
                position.full_after = documents[-1].sort[0]
                self._positions.write(position)
            on_progress(done, max(total, done))
        position.full_done, position.full_after = True, None
        position.changed, position.changed_at_start = position.changed_at_start, None
        self._positions.write(position)

    def _changes(self, position: Position, summary: SyncSummary, on_progress: OnProgress) -> None:
        for documents in self._source.missing(self._follow.field, fields=self._fields):  # no time tells when they change
            self._put(documents, summary, Priority.LIVE)
        since = None if position.changed is None else position.changed - int(self._follow.overlap * self._units)
        upto = self._source.newest(self._follow.field, dated=self._dated)
        done = 0
        for documents in self._source.read(
            sort=self._follow.field, dated=self._dated, since=since if since is not None else 0, fields=self._fields
        ):
            self._put(documents, summary, Priority.LIVE)
            done += len(documents)
            if upto is not None:  # else all are dated in the future
                position.changed = min(documents[-1].sort[0], upto)
            self._positions.write(position)
            on_progress(done, done)

    def _beyond_now(self, position: Position) -> bool:
        return self._dated and position.changed is not None and position.changed > (self._now() + _SKEW) * self._units

    def _put(self, documents: Sequence[SourceDocument], summary: SyncSummary, priority: Priority) -> None:
        rows = [self._reader.read(document) for document in documents]
        for row in rows:
            summary.add(row)
        products = [row.product for row in rows if isinstance(row, Accepted)]
        for start in range(0, len(products), BATCH):
            writes = [ProductWrite(product, part_hashes(product, self._hashes)) for product in products[start : start + BATCH]]
            for result in self._engine.put(writes, priority=priority):
                if result.result == "created":
                    summary.created += 1
                elif result.result == "updated":
                    summary.updated += 1
                elif result.result == "noop":
                    summary.unchanged += 1
                else:
                    summary.errors.append((result.id, result.error or result.result))
        self._list(documents, rows)

    def _list(self, documents: Sequence[SourceDocument], rows: Sequence[Row]) -> None:
        """Keep the list of rejects; before the position goes on, for a process that dies does not read these again."""
        refused = [row for row in rows if isinstance(row, Reject)]
        self._refused.update(row.id for row in refused)
        self._rejects.add(refused)
        self._rejects.remove(document.id for document, row in zip(documents, rows, strict=True) if isinstance(row, Accepted))
        self._rejects.write()

    def _compare(self, summary: SyncSummary) -> None:
        """Read what ours has not, then remove what theirs no longer has.

        All of theirs is read first: a part of it would look like deletions.
        """
        fields = [] if self._id_path == DOCUMENT_ID else [self._id_path]
        ids = {document.id: self._reader.id_of(document) for documents in self._source.read(fields=fields) for document in documents}
        self._rejects.keep(ids.keys())
        self._rejects.write()
        ours = {document.id for document in scan_all(self._engine)}
        missing = [of_document for of_document, id_ in ids.items() if id_ not in ours and of_document not in self._refused]
        for start in range(0, len(missing), PAGE):
            self._put(self._source.by_ids(missing[start : start + PAGE]), summary, Priority.BACKFILL)
        gone = sorted(ours.difference(ids.values()))
        if gone and len(gone) > self._follow.delete_at_most * len(ours):
            raise ConflictError(
                f"{len(gone)} of our {len(ours)} products are not in {self._source.index.name!r}: more than follow.delete_at_most "
                f"({self._follow.delete_at_most:g}) allows; nothing was deleted.",
                field="follow.delete_at_most",
                value=self._follow.delete_at_most,
                remedy="Wait if their index is being built anew; if they are really gone, raise it to 1 once.",
            )
        for start in range(0, len(gone), BATCH):
            results = self._engine.delete(gone[start : start + BATCH])
            summary.deleted += sum(result.result == "deleted" for result in results)
        summary.compared = True

    @property
    def _dated(self) -> bool:
        return self._follow.kind == "date"

    @property
    def _units(self) -> int:
        """Units of the followed field in a second, or in one of its own."""
        return 1_000 if self._dated else 1

    @property
    def _fields(self) -> tuple[str, ...]:
        return self._reader.paths

    def _id_order(self) -> str:
        """A field by which a first reading can be taken up again; empty where ids cannot be sorted by."""
        told = self._source.index.fields.get(self._id_path)
        return told.exact if told and not told.nested and told.type != "text" else ""
