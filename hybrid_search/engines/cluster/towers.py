"""What towers computed, by model and content hash, in an index of its own. Stored as the bytes of float32."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.documents import document_id
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.types import FloatVector

_STORED = np.dtype("<f4")


def save_tower_outputs(server: Server, model: str, outputs: Mapping[str, FloatVector]) -> None:
    """``Vectors.save_tower_outputs``."""
    actions = [
        Action("index", server.indices.towers, _id(model, key), body={"model": model, "hash": key, "vector": _text(vector)})
        for key, vector in outputs.items()
    ]
    for result in send_bulk(server.transport, actions):
        if result.error is not None:
            raise ServerError(f"The search server did not keep a tower's output: {result.error}.", status=result.status)


def tower_outputs(server: Server, model: str, hashes: Sequence[str]) -> dict[str, FloatVector]:
    """``Vectors.tower_outputs``."""
    ids = {_id(model, key): key for key in hashes}
    found = server.mget(server.indices.towers, ids)
    return {ids[id_]: _vector(stored["_source"]["vector"]) for id_, stored in found.items()}


def _id(model: str, key: str) -> str:
    return document_id(f"{model} {key}")


def _text(vector: FloatVector) -> str:
    return base64.b64encode(np.ascontiguousarray(vector, dtype=_STORED).tobytes()).decode()


def _vector(text: str) -> FloatVector:
    return np.frombuffer(base64.b64decode(text), dtype=_STORED).astype(np.float32)
