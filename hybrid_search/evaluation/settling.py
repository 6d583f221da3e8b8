"""Rids a server's BM25 statistics of deleted and replaced products, which count there until their segments are merged."""

from __future__ import annotations

import time

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.errors import EngineError

PATIENCE = 90.0
"""Seconds after the first merge: three renewals of the claim."""
MERGING = 900.0
EVERY = 2.0


def settle(engine: Engine) -> None:
    """One segment of living products.

    A merge keeps deleted documents as long as a recovery could ask for their history. A young index forgets that claim when it is closed
    and opened; one that has written it down renews it by itself every 30 seconds, counted from its opening.

    For an index that nobody else uses. An engine without such statistics is left alone. Raises ``EngineError`` when it takes too long.
    """
    if not isinstance(engine, ClusterEngine):
        return
    transport, index = engine.server.transport, engine.server.indices.products
    transport.request("POST", f"/{index}/_flush")
    transport.request("POST", f"/{index}/_close")
    transport.request("POST", f"/{index}/_open", params={"wait_for_active_shards": "1"})
    deadline = None
    while True:
        transport.request("POST", f"/{index}/_flush")
        transport.request("POST", f"/{index}/_forcemerge", params={"max_num_segments": "1"}, timeout=MERGING)
        engine.refresh()
        deleted = transport.request("GET", f"/{index}/_stats/docs").body["_all"]["primaries"]["docs"]["deleted"]
        if not deleted:
            return
        deadline = deadline or time.monotonic() + PATIENCE
        if time.monotonic() > deadline:
            raise EngineError(
                f"{deleted} deleted documents are still counted in {index} after {PATIENCE:g} s of merging.",
                field="index",
                value=index,
                remedy="See that nobody else writes to it, and try again.",
            )
        time.sleep(EVERY)
