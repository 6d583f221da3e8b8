"""A foreign index seen as one of ours: what the engine calls a product's ``id`` is ``hybrid.id`` there, documents come back as products.

Only what is read is translated. Writes pass as they are: the engine's scripts touch nothing outside ``hybrid``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from hybrid_search.attach.in_place_fields import ID
from hybrid_search.attach.reading import ProductReader
from hybrid_search.attach.source import SourceDocument
from hybrid_search.catalog.rows import Accepted
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.transport import Reply, Transport

_BY_FIELD = frozenset({"term", "terms", "range"})
"""Clauses whose keys are names of fields."""


class InPlaceTransport:
    """``Transport`` for a ``ClusterEngine`` whose products are the documents of a foreign index.

    Args:
        inner: to the server.
        index: theirs, as the engine names it.
        reader: makes products of its documents.
        filter: what of the index are products.
    """

    def __init__(self, inner: Transport, index: str, reader: ProductReader, filter: Mapping[str, Any]) -> None:
        self.url = inner.url
        self._inner, self._index, self._reader = inner, index, reader
        # Documents that carry nothing of ours yet have no id to be found by.
        self._visible: list[Mapping[str, Any]] = [{"exists": {"field": ID}}, *([filter] if filter else [])]
        name = re.escape(orjson.dumps(index))
        self._direct = re.compile(rb'^(\{"(?:update|create|index)":\{"_index":' + name + rb',.*),"require_alias":true\}\}$', re.M)

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        ignore: tuple[int, ...] = (),
    ) -> Reply:
        """``Transport.request``."""
        theirs = path.startswith(f"/{self._index}/")
        if theirs and path.endswith(("/_search", "/_count")) and (body is None or isinstance(body, Mapping)):
            asked = dict(body or {})
            reply = self._inner.request(method, path, self._outward(asked), params=params, timeout=timeout, ignore=ignore)
            return self._inward(reply, asked.get("_source"))
        if path == "/_msearch" and isinstance(body, bytes):
            return self._msearch(method, path, body, params, timeout, ignore)
        if path.endswith("/_bulk") or path == "/_bulk":
            body = self._direct.sub(rb"\1}}", body) if isinstance(body, bytes) else body
        reply = self._inner.request(method, path, body, params=params, timeout=timeout, ignore=ignore)
        if theirs and path.endswith("/_mget") and not (params or {}).get("_source_includes"):
            return Reply(reply.status, {**reply.body, "docs": [self._product(doc) for doc in reply.body["docs"]]})
        return reply

    def close(self) -> None:
        self._inner.close()

    def _msearch(
        self, method: str, path: str, body: bytes, params: Mapping[str, str] | None, timeout: float | None, ignore: tuple[int, ...]
    ) -> Reply:
        lines = [orjson.loads(line) for line in body.splitlines() if line]
        heads, asked = lines[::2], lines[1::2]
        sent = b"".join(
            orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            for head, one in zip(heads, asked, strict=True)
            for line in (head, self._outward(one) if head.get("index") == self._index else one)
        )
        reply = self._inner.request(method, path, sent, params=params, timeout=timeout, ignore=ignore)
        if not reply.ok:
            return reply
        answers = [
            self._inward(Reply(200, answer), one.get("_source")).body if head.get("index") == self._index else answer
            for head, one, answer in zip(heads, asked, reply.body["responses"], strict=True)
        ]
        return Reply(reply.status, {**reply.body, "responses": answers})

    def _outward(self, asked: dict[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = self._renamed(asked)
        sent["query"] = {"bool": {"must": [sent.get("query", {"match_all": {}})], "filter": list(self._visible)}}
        if isinstance(asked.get("_source"), list):
            sent["_source"] = [name for name in asked["_source"] if name.startswith(OWN)]
        if "docvalue_fields" in asked:
            sent["docvalue_fields"] = [_theirs(name) for name in asked["docvalue_fields"]]
        return sent

    def _renamed(self, value: Any, above: str = "") -> Any:
        """``id`` replaced where it is the name of a field."""
        if isinstance(value, list):
            return [self._renamed(item, above) for item in value]
        if not isinstance(value, dict):
            return value
        fields = (above in _BY_FIELD and "field" not in value) or above == "sort"
        out: dict[str, Any] = {}
        for key, inner in value.items():
            if key == "field" and isinstance(inner, str):
                out[key] = _theirs(inner)
            else:
                name = str(key)
                out[_theirs(name) if fields else name] = self._renamed(inner, name)
        return out

    def _inward(self, reply: Reply, source: Any) -> Reply:
        hits = reply.body.get("hits", {}).get("hits") if isinstance(reply.body, Mapping) else None
        if not hits:
            return reply
        made = [self._product(hit, whole=not isinstance(source, list)) for hit in hits]
        return Reply(reply.status, {**reply.body, "hits": {**reply.body["hits"], "hits": made}})

    def _product(self, hit: dict[str, Any], *, whole: bool = True) -> dict[str, Any]:
        if ID in hit.get("fields", {}):
            hit = {**hit, "fields": {**hit["fields"], "id": hit["fields"][ID]}}
        if "_source" not in hit:
            return hit
        own = hit["_source"].get(OWN)
        body: dict[str, Any] = {}
        if whole:
            row = self._reader.read(SourceDocument(hit["_id"], hit["_source"]))
            body = row.product.body() if isinstance(row, Accepted) else {}
        return {**hit, "_source": {**body, "id": hit["_id"], **({OWN: own} if own else {})}}


def _theirs(name: str) -> str:
    return ID if name == "id" else name
