"""Small files in the meta index. A large one is cut into pieces, and the document that names them is written last: a blob is there whole or
not at all. That document is replaced only by who has seen what it replaces, and so knows which pieces nobody needs any more."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import ConflictError

INLINE = 200_000
"""Bytes up to which a blob is one document: the roster of processes is read and written all the time."""
PIECE = 4_000_000
"""Bytes per document: a third more as base64, well under what a server takes in one request."""
_TRIES = 50


def write_blob(server: Server, name: str, content: bytes) -> None:
    """``Blobs.write_blob``. Raises ``ConflictError`` where others replace it all the time."""
    meta, head = server.indices.meta, _id(name)
    body: dict[str, Any] = {"name": name}
    if len(content) <= INLINE:
        body["content"] = _text(content)
    else:
        pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        made = uuid.uuid4().hex
        body["pieces"] = [f"{head}:{made}:{number}" for number in range(len(pieces))]
        for id_, piece in zip(body["pieces"], pieces, strict=True):
            _send(server, [Action("index", meta, id_, body={"content": _text(piece)})])
    replaced: list[str] = []
    for _ in range(_TRIES):
        old = server.mget(meta, [head]).get(head)
        if old is not None and old["_source"] == body:  # also ours, where the answer was lost
            break
        replaced = [] if old is None else old["_source"].get("pieces", [])
        guard = {} if old is None else {"if_seq_no": old["_seq_no"], "if_primary_term": old["_primary_term"]}
        if _send(server, [Action("create" if old is None else "index", meta, head, body=body, **guard)]):
            break
    else:
        raise ConflictError(f"The file {name!r} is being replaced by others all the time.", field="blob", value=name, remedy="Try again.")
    _send(server, [Action("delete", meta, id_) for id_ in replaced])


def read_blob(server: Server, name: str) -> bytes | None:
    """``Blobs.read_blob``."""
    head = _id(name)
    while True:
        found = server.mget(server.indices.meta, [head]).get(head)
        if found is None:
            return None
        if "content" in found["_source"]:
            return base64.b64decode(found["_source"]["content"])
        ids = found["_source"]["pieces"]
        pieces = [server.mget(server.indices.meta, [id_]).get(id_) for id_ in ids]
        kept = [base64.b64decode(piece["_source"]["content"]) for piece in pieces if piece is not None]
        if len(kept) == len(ids):
            return b"".join(kept)
        # replaced while it was read: the new one is whole


def _id(name: str) -> str:
    return f"blob:{hashlib.sha256(name.encode()).hexdigest()}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _send(server: Server, actions: list[Action]) -> bool:
    """Whether all were written; ``False`` where somebody else wrote meanwhile."""
    results = send_bulk(server.transport, actions)
    for result in results:
        if result.error is not None and not result.conflict:
            raise ServerError(f"The search server did not keep a file: {result.error}.", status=result.status)
    return not any(result.conflict for result in results)
