"""Starts one search server for a whole test session: ``python -m tests.start_server PRODUCT OWNER STATE``; ends once it is up.

Writes to STATE, at once and whole, ``{"url", "guard"}`` or ``{"error"}``. The server lives until OWNER dies or its guard is told to end it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from hybrid_search.errors import HybridSearchError
from hybrid_search.search_server import Product, start_node
from hybrid_search.search_server.products import product_named


def main(product: Product, owner: int, state: Path) -> None:
    """Start the server and say where it is, or why there is none."""
    try:
        server = start_node(product, heap="512m", owner=owner)
        told: dict[str, object] = {"url": server.url, "guard": server.guard_pid}
    except HybridSearchError as error:
        told = {"error": str(error)}
    written = state.with_suffix(".new")
    written.write_text(json.dumps(told))
    os.replace(written, state)


if __name__ == "__main__":
    main(product_named(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
