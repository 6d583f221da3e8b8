"""A foreign index, read only: its mapping and settings, a sample, and long reads over a point in time.

Only searches and point-in-time reads are sent. Scrolls are not used at all: on OpenSearch 3.x closing one can make the documents of an index with
vectors unreadable, and the index is not ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from hybrid_search.attach.schema import VECTOR_TYPES, SourceField, fields_of, foreign_below
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import EngineError, NotFoundError

Product = Literal["opensearch", "elasticsearch"]

PAGE = 500
"""Documents per page of a long read."""
KEEP_ALIVE = "5m"
"""How long the server keeps a point in time between two pages."""


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A foreign document; ``sort`` are its sort values, to go on from."""

    id: str
    source: Mapping[str, Any]
    sort: tuple[Any, ...] = ()
    seq_no: int = -1
    primary_term: int = -1


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """What is to know of a foreign index before a document is read. ``uuid`` changes when the index is built anew."""

    asked: str
    name: str
    uuid: str
    product: Product
    version: str
    fields: Mapping[str, SourceField]
    documents: int
    knn: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    routed: bool = False
    """Whether a document is only found by its routing value."""
    taken: bool = False
    """Whether it has a field of its own that is called as the object we keep ours in."""

    @property
    def vectors(self) -> tuple[str, ...]:
        """Paths of vector fields: left out of every read."""
        return tuple(path for path, f in self.fields.items() if f.type in VECTOR_TYPES)


def index_path(index: str) -> str:
    """Where an index or alias is on its server."""
    return f"/{quote(index, safe='')}"


def describe(transport: Transport, index: str) -> SourceIndex:
    """Look at the index or alias ``index``.

    Raises:
        NotFoundError: there is no such index.
        EngineError: the name stands for several indices, or the index is closed or keeps no ``_source``.
        EngineUnavailable: as the transport does.
    """
    product, version = identify(transport)
    path = index_path(index)
    if not index or any(sign in index for sign in "*,") or index in ("_all", "."):
        raise NotFoundError(f"{index!r} is a pattern, not one index.", field="index", value=index, remedy="Name one index or alias.")
    reply = transport.request("GET", path, params={"flat_settings": "true", "expand_wildcards": "all"}, ignore=(404,))
    if reply.status == 404:
        raise NotFoundError(
            f"There is no index or alias {index!r} at {transport.url}.",
            field="index",
            value=index,
            remedy="See GET /_cat/indices for its name.",
        )
    if len(reply.body) != 1:
        names = ", ".join(sorted(reply.body))
        raise EngineError(
            f"The alias {index!r} stands for {len(reply.body)} indices: {names}.", field="index", value=index, remedy="Name one of them."
        )
    ((name, told),) = reply.body.items()
    settings, mapping = told.get("settings", {}), told.get("mappings", {})
    _require_open(transport, name)
    if mapping.get("_source", {}).get("enabled") is False:
        raise EngineError(f"The index {name!r} keeps no _source.", field="index", value=index, remedy="Send products by POST /v1/changes.")
    count = transport.request("GET", f"{index_path(name)}/_count")
    return SourceIndex(
        asked=index,
        name=name,
        uuid=str(settings.get("index.uuid", "")),
        product=product,
        version=version,
        fields=fields_of(mapping),
        documents=int(count.body["count"]),
        knn=str(settings.get("index.knn", "false")).lower() == "true",
        settings=settings,
        routed=bool(mapping.get("_routing", {}).get("required")),
        taken=foreign_below(mapping, OWN),
    )


def index_uuid(transport: Transport, index: str) -> str:
    """``SourceIndex.uuid`` of what an index or alias stands for now, empty where that is not one index; a single request."""
    path = f"{index_path(index)}/_settings/index.uuid"
    told = transport.request("GET", path, params={"flat_settings": "true"}, ignore=(404,))
    uuids = [one["settings"]["index.uuid"] for one in told.body.values()] if told.ok else []
    return str(uuids[0]) if len(uuids) == 1 else ""


def identify(transport: Transport) -> tuple[Product, str]:
    """Product and version of a server. Raises ``EngineError`` when it is neither OpenSearch nor Elasticsearch."""
    body = transport.request("GET", "/").body
    told = body.get("version", {}) if isinstance(body, Mapping) else {}
    number = str(told.get("number", "")) if isinstance(told, Mapping) else ""
    if not number:
        raise EngineError(
            f"What answers at {transport.url} is neither OpenSearch nor Elasticsearch.",
            field="url",
            value=transport.url,
            remedy="Check the URL.",
        )
    return ("opensearch" if told.get("distribution") == "opensearch" else "elasticsearch"), number


def _require_open(transport: Transport, name: str) -> None:
    told = transport.request(
        "GET", f"/_cat/indices/{quote(name, safe='')}", params={"format": "json", "expand_wildcards": "all", "h": "status"}
    )
    if told.body and told.body[0].get("status") == "close":
        raise EngineError(
            f"The index {name!r} is closed.", field="index", value=name, remedy=f"Open it with POST /{name}/_open, or name the one in use."
        )


class Source:
    """Reads of one foreign index, inside ``filter`` (query DSL, empty for everything)."""

    def __init__(self, transport: Transport, index: SourceIndex, filter: Mapping[str, Any] | None = None) -> None:
        self._transport = transport
        self.index = index
        self._filter = dict(filter or {})

    def count(self) -> int:
        """Documents inside the filter."""
        reply = self._transport.request("POST", f"{index_path(self.index.name)}/_count", {"query": self._query()})
        return int(reply.body["count"])

    def sample(self, size: int) -> list[SourceDocument]:
        """The first ``size`` documents in index order: the same ones for an unchanged index."""
        body = {"size": size, "query": self._query(), "sort": ["_doc"], "_source": self._fields(None), "track_total_hits": False}
        return _documents(self._checked(self._transport.request("POST", f"{index_path(self.index.name)}/_search", body).body))

    def by_ids(self, ids: Sequence[str]) -> list[SourceDocument]:
        """Documents by their ``_id``, inside the filter; those that are gone are left out."""
        query = {"bool": {"filter": [{"ids": {"values": list(ids)}}, self._query()]}}
        body = {"size": len(ids), "query": query, "_source": self._fields(None), "seq_no_primary_term": True}
        return _documents(self._checked(self._transport.request("POST", f"{index_path(self.index.name)}/_search", body).body))

    def missing(self, path: str, *, fields: Sequence[str] = ()) -> Iterator[list[SourceDocument]]:
        """Pages of the documents that lack a field, as searchable at the call, with these source fields."""
        query = {"bool": {"filter": [self._query()], "must_not": [{"exists": {"field": path}}]}}
        yield from Source(self._transport, self.index, query).read(fields=fields)

    def newest(self, path: str, *, dated: bool) -> Any:
        """The largest value of a field, ``None`` where no document has one.

        For a date: in milliseconds since 1970, and of those not later than the server's present time, for a document that is dated in the
        future tells nothing of what was written until now.
        """
        order = {path: {"order": "desc"} | ({"numeric_type": "date"} if dated else {})}
        has = {"range": {path: {"lte": "now"}}} if dated else {"exists": {"field": path}}
        found = self._first(has, [order])["hits"]
        return found[0]["sort"][0] if found else None

    def ahead(self, path: str, *, slack: float) -> tuple[int, str]:
        """How many documents a date field puts more than ``slack`` seconds after the server's present time, and the id of the latest."""
        later = {"range": {path: {"gt": f"now+{math.ceil(slack)}s"}}}
        told = self._first(later, [{path: {"order": "desc", "numeric_type": "date"}}], counted=True)
        return (int(told["total"]["value"]), str(told["hits"][0]["_id"])) if told["hits"] else (0, "")

    def _first(self, clause: Mapping[str, Any], order: list[Any], *, counted: bool = False) -> Any:
        """The hits of a search for one document."""
        query = {"bool": {"filter": [self._query(), clause]}}
        body = {"size": 1, "query": query, "sort": order, "_source": False, "track_total_hits": counted}
        return self._checked(self._transport.request("POST", f"{index_path(self.index.name)}/_search", body).body)["hits"]

    def read(
        self,
        *,
        sort: str = "",
        dated: bool = False,
        since: object = None,
        fields: Sequence[str] | None = None,
        page: int = PAGE,
    ) -> Iterator[list[SourceDocument]]:
        """Pages of all documents, from one point in time.

        Args:
            sort: a sortable field to read in ascending order of; the index's own order by default.
            dated: whether ``sort`` is a date; ``since`` is then in milliseconds since 1970.
            since: only documents whose ``sort`` is at least this.
            fields: source fields to read, all but vectors by default; an empty list reads ids only.

        Raises ``EngineError`` when a page is incomplete: a part of the documents is never taken for all of them.
        """
        query = self._query()
        order: list[Any] = [{self._tie_break: "asc"}]
        if sort:
            order.insert(0, {sort: {"order": "asc", "missing": "_last"} | ({"numeric_type": "date"} if dated else {})})
            if since is not None:
                bounds = {"gte": since} | ({"format": "epoch_millis"} if dated else {})
                query = {"bool": {"filter": [query, {"range": {sort: bounds}}]}}
        body: dict[str, Any] = {"size": page, "query": query, "sort": order, "_source": self._fields(fields), "track_total_hits": False}
        with self._point_in_time() as pit:
            while True:
                reply = self._checked(
                    self._transport.request("POST", "/_search", {**body, "pit": {"id": pit[0], "keep_alive": KEEP_ALIVE}}).body
                )
                pit[0] = reply.get("pit_id", pit[0])
                documents = _documents(reply)
                if documents:
                    yield documents
                if len(documents) < page:
                    return
                body["search_after"] = list(documents[-1].sort)

    @contextmanager
    def _point_in_time(self) -> Iterator[list[str]]:
        opened = self.index.product == "opensearch"
        path = f"{index_path(self.index.name)}/" + ("_search/point_in_time" if opened else "_pit")
        reply = self._transport.request("POST", path, params={"keep_alive": KEEP_ALIVE})
        pit = [str(reply.body["pit_id" if opened else "id"])]
        try:
            yield pit
        finally:
            if opened:
                self._transport.request("DELETE", "/_search/point_in_time", {"pit_id": pit}, ignore=(404,))
            else:
                self._transport.request("DELETE", "/_pit", {"id": pit[0]}, ignore=(404,))

    @property
    def _tie_break(self) -> str:
        """What no two documents share: OpenSearch sorts by the place in a point in time from 3.0 on."""
        old = self.index.product == "opensearch" and self.index.version.startswith("2.")
        return "_id" if old else "_shard_doc"

    def _query(self) -> dict[str, Any]:
        return self._filter or {"match_all": {}}

    def _fields(self, wanted: Sequence[str] | None) -> Any:
        if wanted is not None:
            return list(wanted) or False
        vectors = self.index.vectors
        return {"excludes": list(vectors)} if vectors else True

    def _checked(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        shards = reply.get("_shards", {})
        if shards.get("failed") or reply.get("timed_out"):
            failed = shards.get("failures") or [{}]
            reason = failed[0].get("reason", {}).get("reason") or (
                "the server's time ran out" if reply.get("timed_out") else "no reason given"
            )
            raise ServerError(
                f"The index {self.index.name!r} answered for {shards.get('successful', 0)} of {shards.get('total', 0)} shards: {reason}.",
                status=200,
                remedy="Wait until its health is at least yellow, then run it again.",
            )
        return reply


def _documents(reply: Mapping[str, Any]) -> list[SourceDocument]:
    return [
        SourceDocument(hit["_id"], hit.get("_source", {}), tuple(hit.get("sort", ())), hit.get("_seq_no", -1), hit.get("_primary_term", -1))
        for hit in reply["hits"]["hits"]
    ]
