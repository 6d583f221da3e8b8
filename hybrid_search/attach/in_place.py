"""Vectors and ledger inside a foreign index: the server engine over documents that somebody else writes.

Their writers stay active. Everything of ours is under ``hybrid`` and is written only if the document is still the one that was read, so
a price that they change meanwhile is never undone. When they write a whole document, ours is gone from it: ``notice`` finds such
documents and puts the ledger back; the vectors come back from the kept outputs of the towers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hybrid_search.attach.check import dated_ahead, follow_fault, in_place
from hybrid_search.attach.config import DOCUMENT_ID, AttachConfig
from hybrid_search.attach.connect import open_source
from hybrid_search.attach.in_place_fields import ID, REJECTED, add_own_fields
from hybrid_search.attach.in_place_search import TheirFields, keyword_clause
from hybrid_search.attach.in_place_transport import InPlaceTransport
from hybrid_search.attach.reading import ProductReader
from hybrid_search.attach.source import Source, SourceDocument, SourceIndex, describe, index_uuid
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.changes import ChangeRecord
from hybrid_search.engines.cluster.dialect import Dialect
from hybrid_search.engines.cluster.dropping import rewrite_in
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.entries import Change, content_put, difference, read_ledger
from hybrid_search.engines.cluster.indices import behind_aliases, greet, prepare
from hybrid_search.engines.cluster.layout import OWN, Indices
from hybrid_search.engines.cluster.legs import Searchable
from hybrid_search.engines.cluster.mappings import load_mappings
from hybrid_search.engines.cluster.rewriting import require_written
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.spaces import map_fields, read_spaces
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import EngineError, NotFoundError, ReadOnlyError, SettingsError
from hybrid_search.indexing.parts import ImageHashes, part_hashes
from hybrid_search.product import Product
from hybrid_search.settings import Settings
from hybrid_search.types import KeywordLeg, Priority, WriteResult
from hybrid_search.waiting import rereading

_NO_PRODUCT = "cannot become a product: see hybrid-search attach --check"


@dataclass(frozen=True, slots=True)
class InPlaceIndices(Indices):
    """Our other indices under the prefix; the products are theirs."""

    foreign: str

    @property
    def products(self) -> str:
        return self.foreign

    @property
    def aliases(self) -> tuple[str, ...]:
        return (self.chunks, self.meta, self.towers)


@dataclass(slots=True)
class Noticed:
    """What one ``notice`` did: documents read, ledgers written (``changed``), documents that are no products."""

    read: int = 0
    changed: int = 0
    rejected: int = 0


class InPlaceEngine(ClusterEngine):
    """``Engine`` over a foreign index. Products have the documents' own ids; they are written by the shop, not through here."""

    def __init__(
        self, server: Server, transport: Transport, source: Source, config: AttachConfig, hashes: ImageHashes, **options: Any
    ) -> None:
        super().__init__(server, **options)
        self._source, self._config, self._hashes = source, config, hashes
        self._transport = transport
        self._know(source.index)

    def put(self, writes: Sequence[ProductWrite], *, priority: Priority = Priority.LIVE, refresh: bool = False) -> list[WriteResult]:
        raise _theirs()

    def delete(self, ids: Sequence[str], *, refresh: bool = False) -> list[WriteResult]:
        raise _theirs()

    def notice(self, *, since: Any = None) -> Noticed:
        """Put the ledger into documents that carry none; with ``since`` also look at what changed since then (a value of ``follow.field``).

        Call it again and again. A document whose words and pictures are the same is not written.
        """
        self._meet_new_index()
        told = Noticed()
        for documents in self._source.missing(ID):
            self._look(documents, told, Priority.BACKFILL)
        follow = self._config.follow
        if since is not None and follow.field:
            for documents in self._source.read(sort=follow.field, dated=follow.kind == "date", since=since):
                self._look(documents, told, Priority.LIVE)
        return told

    def newest_change(self) -> Any:
        """The largest value of ``follow.field`` now; ``None`` where there is nothing to follow."""
        self._meet_new_index()
        follow = self._config.follow
        return self._source.newest(follow.field, dated=follow.kind == "date") if follow.field else None

    def warnings(self) -> list[str]:
        """What is wrong with the values of ``follow.field``."""
        return dated_ahead(self._source, self._config.follow)

    def look_at_all(self) -> Noticed:
        """Compare every document with its ledger: finds changes where there is nothing to follow."""
        self._meet_new_index()
        told = Noticed()
        for documents in self._source.read():
            self._look(documents, told, Priority.BACKFILL)
        return told

    def _meet_new_index(self) -> None:
        """Give our fields to another index that took the place of the one we know, as where a shop builds a new one behind its alias.

        Before the first ledger is written there: by its own dynamic mapping our vectors would become plain numbers.
        """
        index = describe(self._transport, self._source.index.asked)
        if index.uuid == self._source.index.uuid:
            return
        _require_place(index)
        add_own_fields(self._transport, index.asked)
        map_fields(self.server)
        self._source = Source(self._transport, index, self._config.source.filter)
        self._know(index)

    def _know(self, index: SourceIndex) -> None:
        """Search by the mapping of ``index``."""
        self._searched = index
        self._theirs = TheirFields(index, self._config)
        self.uncountable = self._theirs.uncountable

    def _look(self, documents: Sequence[SourceDocument], told: Noticed, priority: Priority) -> None:
        spaces = read_spaces(self.server).fields
        refused: set[str] = set()

        def decide(id_: str, stored: Mapping[str, Any] | None) -> Change | None:
            if stored is None:
                return None
            before = read_ledger(stored)
            own = stored.get(OWN, {})
            body = {key: value for key, value in stored.items() if key != OWN}
            rejected = _NO_PRODUCT if body.keys() == {"id"} else ""
            if rejected:
                refused.add(id_)
            parts = {} if rejected else part_hashes(Product.model_validate(body), self._hashes)
            after = content_put(before, parts, spaces, priority=priority, now=self._now())
            change = difference(before, after) if after is not before else Change()
            if own.get("id") != id_:
                change = change.joined(Change({tuple(ID.split(".")): id_}))
            if rejected and own.get("rejected") != rejected:
                change = change.joined(Change({tuple(REJECTED.split(".")): rejected}))
            return change if change.set or change.remove else None

        outcomes = rewrite_in(self.server, spaces, [document.id for document in documents], decide)
        require_written(outcomes)
        told.read += len(documents)
        told.changed += sum(outcome.result == "updated" for outcome in outcomes.values())
        told.rejected += len(refused)

    def _read_searchable(self, known: Searchable | None) -> Searchable:
        searchable = super()._read_searchable(known)
        if searchable is known:
            return searchable
        try:
            with rereading(True):
                uuid = index_uuid(self._transport, self._searched.asked)
                if uuid != self._searched.uuid:
                    self._know(describe(self._transport, self._searched.asked))
        except (EngineError, NotFoundError):
            pass  # as where their alias is being moved: by the fields that are known, until the next look
        return searchable

    def _searchable(self) -> Searchable:
        return replace(super()._searchable(), keyword=self._keyword, fields=self._theirs)

    def _keyword(self, leg: KeywordLeg) -> dict[str, Any] | None:
        return keyword_clause(leg, self._searched, self._config)


def attach_in_place(
    transport: Transport,
    config: AttachConfig,
    hashes: ImageHashes,
    *,
    prefix: str,
    max_attempts: int = 3,
    retry_pause: float = 2.0,
    clock: Callable[[], float] = time.time,
) -> InPlaceEngine:
    """Add our fields to the mapping of the index that ``config`` names, make our other indices, and give the engine over both.

    Raises:
        EngineError: vectors cannot be added to this index; the message says what to do instead.
        ServerError: the server refuses the mapping; nothing of ours stays then but empty fields.
    """
    index = describe(transport, config.source.index)
    _require_place(index)
    if fault := follow_fault(index, config):
        raise SettingsError(fault, field="follow.field", value=config.follow.field, remedy="See hybrid-search attach --check.")
    dialect = greet(transport, index.product)
    indices = InPlaceIndices(prefix, index.asked)
    add_own_fields(transport, index.asked)
    prepare(transport, dialect, indices, load_mappings(index.product, prefix), products=False)
    options = {"max_attempts": max_attempts, "retry_pause": retry_pause, "clock": clock}
    return _join(transport, index, dialect, indices, config, hashes, **options)


def look_in_place(settings: Settings, config: AttachConfig, hashes: ImageHashes) -> InPlaceEngine | None:
    """The engine as it is, ``None`` where the index carries nothing of ours yet; opening it makes and changes nothing."""
    transport = open_source(settings, config.source)
    try:
        index = describe(transport, config.source.index)
        indices = InPlaceIndices(settings.index_prefix, index.asked)
        if ID in index.fields and len(behind_aliases(transport, indices)) == len(indices.aliases):
            return _join(transport, index, greet(transport, index.product), indices, config, hashes)
    except BaseException:
        transport.close()
        raise
    transport.close()
    return None


def _join(
    transport: Transport,
    index: SourceIndex,
    dialect: Dialect,
    indices: InPlaceIndices,
    config: AttachConfig,
    hashes: ImageHashes,
    **options: Any,
) -> InPlaceEngine:
    config = config.model_copy(update={"fields": {**config.fields, "id": (DOCUMENT_ID,)}})
    seen = InPlaceTransport(transport, index.asked, ProductReader(config), config.source.filter)
    source = Source(transport, index, config.source.filter)
    return InPlaceEngine(Server(seen, dialect, indices), transport, source, config, hashes, **options)


def open_in_place(settings: Settings, config: AttachConfig, hashes: ImageHashes) -> InPlaceEngine:
    """The engine over the index of an attach file, reached as the file and the settings say. Raises as ``attach_in_place`` does."""
    transport = open_source(settings, config.source)
    try:
        return attach_in_place(
            transport,
            config,
            hashes,
            prefix=settings.index_prefix,
            max_attempts=settings.max_attempts,
            retry_pause=settings.retry_pause,
        )
    except BaseException:
        transport.close()
        raise


class NoChanges:
    """``ChangeStore`` of an index that only its shop writes: refuses before anything is kept."""

    def advance(self, records: Sequence[ChangeRecord]) -> list[bool]:
        raise _theirs()

    def newest(self, ids: Sequence[str]) -> list[ChangeRecord | None]:
        raise _theirs()

    def close(self) -> None: ...


def _require_place(index: SourceIndex) -> None:
    if reason := in_place(index):
        raise EngineError(f"Vectors cannot be added to {index.name!r}: {reason}", field="index", value=index.name)


def _theirs() -> ReadOnlyError:
    return ReadOnlyError(
        "The index is the shop's own (attach, in place): products are written there, not through here.",
        field="attach",
        remedy="Change the product in the shop; it is noticed there. To write through here, use a side index (attach sync, without the setting attach).",
    )
