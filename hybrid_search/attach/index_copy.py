"""A copy of a foreign index, brought up to its state pass by pass while the shop goes on writing.

A pass copies what changed in each shard since the pass before, found by the server's own sequence numbers. Every document keeps its
version: a shop that gives versions of its own goes on with them in the copy. Deletions leave nothing to copy and are found by counting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from hybrid_search.attach.copy_mark import marked, unmarked
from hybrid_search.attach.source import Source, SourceDocument, SourceIndex, describe, index_path
from hybrid_search.engines.cluster.copying import POLL, Reached, changed_sources, changes_between, count, run_copy, shard_changes
from hybrid_search.engines.cluster.reindexing import PASSES, SMALL
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import EngineError

IDS = 1_000
"""Ids per request, and in a range that is counted."""
RANGES = 200
"""Ranges counted per request."""
PAGE = 5_000
"""Ids per page of a long read."""
TRIES = 10
"""Times that documents are forgotten and copied again whose version is lower than it was."""
NOT_PROCESSED: Mapping[str, Any] = {
    "index.default_pipeline": "_none",
    "index.final_pipeline": "_none",
    "index.gc_deletes": "0s",
}
"""Settings of the copy until the last pass: documents went through the pipelines already, and one that was deleted and made anew with a
lower version than it had is not refused."""
_WHOLE = {"allow_partial_search_results": "false"}
"""An answer with holes would take living documents for deleted ones."""

Progress = Callable[[int, int], None]
"""Called with (documents copied, documents in all)."""


@dataclass(slots=True)
class _Span:
    """Ids of the documents whose last change lies after the first number, up to and with the second, over all shards."""

    after: int
    upto: int
    ids: list[str] = field(default_factory=list)


class IndexCopy:
    """The copy ``new`` of ``old``; it exists already, with the settings ``NOT_PROCESSED``. ``passes`` and ``removed`` tell what was done."""

    def __init__(self, transport: Transport, old: SourceIndex, new: str) -> None:
        self.passes = 0
        self.removed = 0
        self._transport, self._old, self._new = transport, old, new
        self._reached: Reached | None = None
        self._spans: list[_Span] = []

    def catch_up(self, progress: Progress = lambda done, total: None) -> None:
        """Passes until few changes are left, or ``PASSES`` of them."""
        for _ in range(PASSES):
            changed = changes_between(self._reached, shard_changes(self._transport, self._old.name))
            if self._reached is not None and changed <= SMALL:
                return
            self.copy_changes(progress)

    def copy_changes(self, progress: Progress = lambda done, total: None) -> None:
        """One pass. Raises ``ServerError`` that names the document which cannot be copied."""
        upto = shard_changes(self._transport, self._old.name)
        self._copy_mapping()
        conflicts = sum(self._copy(source, progress) for source in changed_sources(self._reached, upto))
        for _ in range(TRIES):
            if not conflicts:
                break
            changed = {"query": {"range": {"_seq_no": {"gt": min(self._reached.values()) if self._reached else -1}}}}
            self._forget(changed["query"])
            conflicts = self._copy(changed, progress)
        if conflicts:
            raise EngineError(
                f"{conflicts} documents of {self._old.name!r} have lower versions than their copies.", field="index", remedy="Run it again."
            )
        self._reached = upto
        self.passes += 1

    def remove_deleted(self) -> None:
        """Remove from the copy what is no longer in the old index, and remember the ids there: under the block few are read then."""
        self._spans = list(_spans(Source(self._transport, self._old).read(sort="_seq_no", fields=[], page=PAGE)))
        if self._differ():
            self._remove_absent(set(chain.from_iterable(span.ids for span in self._spans)))

    def remove_last_deleted(self) -> None:
        """The same once the old index takes no writes and all of it is copied: equal counts are equal ids then."""
        if self._differ():
            self._remove([id_ for span in self._thinner() for id_ in self._gone(span.ids)])
        if self._differ():  # made and deleted again since the ids were remembered
            self._remove_absent({one.id for page in Source(self._transport, self._old).read(fields=[], page=PAGE) for one in page})

    def _copy_mapping(self) -> None:
        """Fields that were mapped since, before a document brings them in another type."""
        theirs, ours = (mapping_of(self._transport, index) for index in (self._old.name, self._new))
        if theirs != ours:
            self._transport.request("PUT", f"{index_path(self._new)}/_mapping", marked(theirs, self._old))

    def _copy(self, source: Mapping[str, Any], progress: Progress) -> int:
        """Copy what ``source`` finds in the old index; returns how many documents the copy has in a higher version."""
        body = {
            "conflicts": "proceed",
            "source": {"index": self._old.name, **source},
            "dest": {"index": self._new, "pipeline": "_none", "version_type": "external_gte"},
        }
        conflicts = 0

        def on_poll(status: Mapping[str, Any]) -> None:
            nonlocal conflicts
            conflicts = int(status["version_conflicts"])
            # a task in slices tells only of those that are done
            stats = self._transport.request("GET", f"{index_path(self._new)}/_stats/indexing").body["_all"]["primaries"]["indexing"]
            progress(min(int(stats["index_total"]), self._old.documents), self._old.documents)

        remedy = "Correct or delete that document, then run it again."
        run_copy(self._transport, body, params={} if "slice" in source else {"slices": "auto"}, remedy=remedy, on_poll=on_poll)
        return conflicts

    def _forget(self, changed: Mapping[str, Any]) -> None:
        """Remove from the copy what is about to be copied again, found in the old index by a query."""
        found = Source(self._transport, self._old, changed)
        self._delete([one.id for page in found.read(fields=[], page=PAGE) for one in page])
        time.sleep(POLL)  # the server's clock, by which it forgets deleted versions at a refresh, is coarse
        self._transport.request("POST", f"{index_path(self._new)}/_refresh")

    def _differ(self) -> bool:
        for index in (self._old.name, self._new):
            self._transport.request("POST", f"{index_path(index)}/_refresh")
        return count(self._transport, self._old.name) != count(self._transport, self._new)

    def _thinner(self) -> Iterator[_Span]:
        """Spans in which fewer documents are now."""
        spans = iter(self._spans)
        while some := list(islice(spans, RANGES)):
            filters = [{"range": {"_seq_no": {"gt": span.after, "lte": span.upto}}} for span in some]
            body = {"size": 0, "aggs": {"counts": {"filters": {"filters": filters}}}}
            buckets = self._search(body)["aggregations"]["counts"]["buckets"]
            yield from (span for span, bucket in zip(some, buckets, strict=True) if bucket["doc_count"] != len(span.ids))

    def _gone(self, ids: Sequence[str]) -> set[str]:
        """Those of ``ids`` that the old index does not have."""
        body = {"size": len(ids), "query": {"ids": {"values": ids}}, "_source": False, "track_total_hits": False}
        return set(ids) - {hit["_id"] for hit in self._search(body)["hits"]["hits"]}

    def _search(self, body: Mapping[str, Any]) -> Any:
        return self._transport.request("POST", f"{index_path(self._old.name)}/_search", body, params=_WHOLE).body

    def _remove_absent(self, there: set[str]) -> None:
        copy = Source(self._transport, describe(self._transport, self._new))
        self._remove([one.id for page in copy.read(fields=[], page=PAGE) for one in page if one.id not in there])

    def _remove(self, ids: Sequence[str]) -> None:
        self._delete(ids)
        self.removed += len(ids)

    def _delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), IDS):
            query = {"query": {"ids": {"values": ids[start : start + IDS]}}}
            params = {"conflicts": "proceed", "refresh": "true"}
            self._transport.request("POST", f"{index_path(self._new)}/_delete_by_query", query, params=params)


def mapping_of(transport: Transport, index: str) -> Mapping[str, Any]:
    """The mapping as the server tells it, without our mark."""
    return unmarked(transport.request("GET", f"{index_path(index)}/_mapping").body[index]["mappings"])


def _spans(pages: Iterator[list[SourceDocument]]) -> Iterator[_Span]:
    """Documents in order of their last change, cut into spans; those with one number, from several shards, are in one span."""
    span = _Span(-1, -1)
    for document in chain.from_iterable(pages):
        number = int(document.sort[0])
        if len(span.ids) >= IDS and number > span.upto:
            yield span
            span = _Span(span.upto, number)
        span.ids.append(document.id)
        span.upto = number
    if span.ids:
        yield span
