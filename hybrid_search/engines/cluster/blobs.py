"""Small files in the meta index, cut into pieces. The document that names the pieces is written last: a blob is there whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import uuid

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError

PIECE = 4_000_000
"""Bytes per document: a third more as base64, well under what a server takes in one request."""


def write_blob(server: Server, name: str, content: bytes) -> None:
    """``Blobs.write_blob``."""
    meta, head = server.indices.meta, _id(name)
    old = server.mget(meta, [head]).get(head)
    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    made = uuid.uuid4().hex
    ids = [f"{head}:{made}:{number}" for number in range(len(pieces))]
    for id_, piece in zip(ids, pieces, strict=True):
        _send(server, [Action("index", meta, id_, body={"content": base64.b64encode(piece).decode()})])
    _send(server, [Action("index", meta, head, body={"name": name, "pieces": ids})])
    if old is not None:
        _send(server, [Action("delete", meta, id_) for id_ in old["_source"]["pieces"]])


def read_blob(server: Server, name: str) -> bytes | None:
    """``Blobs.read_blob``."""
    head = _id(name)
    while True:
        found = server.mget(server.indices.meta, [head]).get(head)
        if found is None:
            return None
        ids = found["_source"]["pieces"]
        pieces = [server.mget(server.indices.meta, [id_]).get(id_) for id_ in ids]
        kept = [base64.b64decode(piece["_source"]["content"]) for piece in pieces if piece is not None]
        if len(kept) == len(ids):
            return b"".join(kept)
        # replaced while it was read: the new one is whole


def _id(name: str) -> str:
    return f"blob:{hashlib.sha256(name.encode()).hexdigest()}"


def _send(server: Server, actions: list[Action]) -> None:
    for result in send_bulk(server.transport, actions):
        if result.error is not None:
            raise ServerError(f"The search server did not keep a file: {result.error}.", status=result.status)
