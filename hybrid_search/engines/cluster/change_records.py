"""The change records of a server engine: an index of their own, one document per product, versioned by the feed's own numbers.

The server compares the versions (``version_type: external``), so that two processes cannot both be the newest. Tombstones are
documents too: a server forgets the version of a deleted document after a minute, and would then take an older one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import orjson

from hybrid_search.engines.changes import ChangeRecord
from hybrid_search.engines.cluster.documents import document_id
from hybrid_search.engines.cluster.server import MGET, raise_item
from hybrid_search.engines.cluster.transport import Transport

_INDEX = {
    "mappings": {"dynamic": False, "_meta": {"version": 1, "about": "The last word of the change feed on each product."}, "properties": {}},
}
BATCH = 200


class ClusterChanges:
    """``ChangeStore`` in the index ``<prefix>-changes``, made when the first change comes."""

    def __init__(self, transport: Transport, prefix: str, *, shards: int = 1, replicas: int = 0) -> None:
        self._transport, self._index = transport, f"{prefix}-changes"
        self._settings = {"number_of_shards": shards, "number_of_replicas": replicas, "refresh_interval": "30s"}
        self._lock = threading.Lock()
        self._made = False

    def advance(self, records: Sequence[ChangeRecord]) -> list[bool]:
        self._make()
        kept: list[bool] = []
        for start in range(0, len(records), BATCH):
            lines: list[bytes] = []
            for record in records[start : start + BATCH]:
                action = {"_id": document_id(record.product_id), "version": record.version, "version_type": "external"}
                lines += [orjson.dumps({"index": action}), orjson.dumps({"id": record.product_id, "body": record.body})]
            reply = self._transport.request("POST", f"/{self._index}/_bulk", b"\n".join(lines) + b"\n")
            for item in reply.body["items"]:
                told = item["index"]
                if told["status"] >= 300 and told["status"] != 409:
                    raise_item(told["error"], f"keeping the change of {told['_id']}")
                kept.append(told["status"] < 300)
        return kept

    def newest(self, ids: Sequence[str]) -> list[ChangeRecord | None]:
        self._make()
        found: dict[str, ChangeRecord] = {}
        for start in range(0, len(ids), MGET):
            wanted = [document_id(id_) for id_ in ids[start : start + MGET]]
            for told in self._transport.request("POST", f"/{self._index}/_mget", {"ids": wanted}).body["docs"]:
                if "error" in told:
                    raise_item(told["error"], f"reading the change of {told['_id']}")
                if told["found"]:
                    found[told["_id"]] = ChangeRecord(told["_source"]["id"], int(told["_version"]), told["_source"]["body"])
        return [found.get(document_id(id_)) for id_ in ids]

    def close(self) -> None:
        """The transport is the engine's."""

    def _make(self) -> None:
        with self._lock:
            if not self._made:
                body = {**_INDEX, "settings": self._settings}
                self._transport.request("PUT", f"/{self._index}", body, ignore=(400,))  # 400: it is there
                self._transport.request("GET", f"/{self._index}")
                self._made = True
