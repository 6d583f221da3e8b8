"""Rids a server's BM25 statistics of deleted and replaced products, which count there until their segments are merged."""

from __future__ import annotations

import time

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine

PATIENCE = 60.0
_STEPS: tuple[tuple[str, dict[str, str]], ...] = (
    ("_flush", {}),
    ("_close", {}),
    ("_open", {"wait_for_active_shards": "1"}),
    ("_forcemerge", {"max_num_segments": "1"}),
)


def settle(engine: Engine) -> None:
    """One segment of living products. Closing the index first ends its claim on their history, which a merge would keep otherwise."""
    if not isinstance(engine, ClusterEngine):
        return
    transport, index = engine.server.transport, engine.server.indices.products
    deadline = time.monotonic() + PATIENCE
    while True:
        for step, params in _STEPS:
            transport.request("POST", f"/{index}/{step}", params=params)
        engine.refresh()
        deleted = transport.request("GET", f"/{index}/_stats/docs").body["_all"]["primaries"]["docs"]["deleted"]
        if not deleted:
            return
        assert time.monotonic() < deadline, f"{deleted} deleted documents are still counted in {index}"
