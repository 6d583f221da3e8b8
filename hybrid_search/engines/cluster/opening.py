"""From settings to an open engine: check the server, make what is missing, join."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hybrid_search.engines.cluster.dialect import Codec, Dialect, ProductName
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import greet, prepare
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import load_mappings
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import SettingsError


def open_engine(
    transport: Transport,
    product: ProductName,
    *,
    prefix: str = "hybrid",
    max_attempts: int = 3,
    retry_pause: float = 2.0,
    knn_exact_up_to: int = 20_000,
    shards: int = 1,
    replicas: int = 0,
    codec: Codec = "float",
    mappings: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> ClusterEngine:
    """An engine over ``transport``, which is closed with it, and at once when it cannot be opened.

    Args:
        prefix: what the names of indices, aliases and templates begin with.
        shards, replicas: of a products index that is made now; one that exists keeps its own.
        codec: how the server keeps the vectors of spaces that are added from now on.
        mappings: folder whose files stand in for ours of the same name.

    Raises:
        EngineUnavailable: no server, the wrong one, one without k-NN, no rights, an alias that points to two indices.
        SettingsError: a codec that this server cannot keep or has no licence for, a mapping file that would break the engine.
        ServerError: the server refuses a mapping.
    """
    try:
        files = load_mappings(product, prefix, mappings)
        dialect = greet(transport, product)
        dialect.require_codec(codec)
        _require_licence(transport, dialect, codec)
        indices = Indices(prefix)
        prepare(transport, dialect, indices, files, shards=shards, replicas=replicas)
        server = Server(transport, dialect, indices, codec)
        return ClusterEngine(server, max_attempts=max_attempts, retry_pause=retry_pause, knn_exact_up_to=knn_exact_up_to, clock=clock)
    except BaseException:
        transport.close()
        raise


def _require_licence(transport: Transport, dialect: Dialect, codec: Codec) -> None:
    """A basic licence maps such a field and refuses what is written to it: too late."""
    if codec not in dialect.licensed:
        return
    told = transport.request("GET", "/_license", ignore=(400, 401, 403, 404, 410))  # hosted servers do not tell
    kind = told.body["license"]["type"] if told.ok else ""
    if kind == "basic":
        raise SettingsError(
            f"{dialect.server} has a {kind} licence, which does not keep vectors as {codec}.",
            field="server_vector_codec",
            value=codec,
            remedy=f"Use one of: {', '.join(name for name in dialect.vector_bodies if name not in dialect.licensed)}; or get the licence.",
        )
