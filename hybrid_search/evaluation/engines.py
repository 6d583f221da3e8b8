"""Throw-away engines to evaluate on, by the name that ``--engine`` takes."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.search_server import start_node

_OPENERS: Mapping[ProductName, Callable[..., ClusterEngine]] = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}


@contextmanager
def _embedded() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="hybrid-search-evaluate-") as home:
        engine = EmbeddedEngine(Path(home))
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def _server(product: ProductName) -> Iterator[Engine]:
    """Indices of its own on the server in ``OPENSEARCH_URL`` or ``ELASTICSEARCH_URL``, deleted at the end; without one, a server of its own.

    Raises ``SettingsError`` when no server can be had here, ``EngineUnavailable`` when it does not answer.
    """
    with ExitStack() as stack:
        url = os.environ.get(f"{product.upper()}_URL") or stack.enter_context(start_node(product, heap="1g")).url
        engine = _OPENERS[product](url, prefix=f"evaluate-{secrets.token_hex(4)}")
        stack.callback(engine.close)
        stack.callback(remove_all, engine.server.transport, engine.server.indices)
        yield engine


ENGINES: Mapping[str, Callable[[], AbstractContextManager[Engine]]] = {
    "embedded": _embedded,
    "opensearch": partial(_server, "opensearch"),
    "elasticsearch": partial(_server, "elasticsearch"),
}
"""Each opens an empty engine that is gone at the end of the block."""
