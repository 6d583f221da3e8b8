"""A shop's full re-index of an attached index, at size: how its erased vectors come back, and that no tower is called for it.

    python -m scripts.attach_refill [--products 20000] [--engine opensearch] [--url http://127.0.0.1:9200]

Without a URL a server is started.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from hybrid_search.attach.connect import find_product
from hybrid_search.search_server import start_node
from hybrid_search.settings import load_settings
from tests.attach.attached import Attached
from tests.attach.conftest import Server
from tests.attach.shops import SHOPS


def main() -> int:
    """Embed, let the shop write every document anew, refill; exit code 1 when a tower was called or something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--engine", choices=("opensearch", "elasticsearch"), default="opensearch")
    parser.add_argument("--url", help="a server that runs already")
    given = parser.parse_args()
    seconds: dict[str, float] = {}
    with ExitStack() as stack:
        url = given.url or stack.enter_context(start_node(given.engine)).url
        transport, product = find_product(load_settings(), url)
        stack.callback(transport.close)
        server = Server(product, url, transport, f"attachrefill-{secrets.token_hex(4)}")
        stack.callback(_remove, server)
        attached = Attached(server, given.products, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.callback(attached.close)
        told = _run(attached, given.products, seconds)
    print(json.dumps({"engine": product, "products": given.products, **told, "seconds": seconds}, indent=2))
    return 0 if told["tower_calls"] == 0 and told["ready"] == told["wanted"] and told["theirs_changed"] == 0 else 1


def _remove(server: Server) -> None:
    for name in server.transport.request("GET", f"/{server.prefix}-*").body:
        server.transport.request("DELETE", f"/{name}")


def _run(attached: Attached, count: int, seconds: dict[str, float]) -> dict[str, int]:
    def timed(name: str, step: object) -> object:
        started = time.monotonic()
        result = step() if callable(step) else None
        seconds[name] = round(time.monotonic() - started, 1)
        print(f"{name}: {seconds[name]} s", file=sys.stderr, flush=True)
        return result

    timed("notice", attached.engine.notice)
    timed("embed", attached.embed_all)
    calls = attached.calls()
    timed("their full index", lambda: attached.server.write(attached.index, SHOPS["nested"].documents(count)))
    timed("notice again", attached.engine.notice)
    timed("refill", attached.embed_all)
    theirs = {id_: body for id_, body in SHOPS["nested"].documents(count)}
    changed = sum(attached.theirs_of(id_) != body for id_, body in list(theirs.items())[:: max(1, count // 500)])
    ready = sum(states.get("ready", 0) for states in attached.states().values())
    return {"tower_calls": attached.calls() - calls, "ready": ready, "wanted": 2 * count, "theirs_changed": changed}


if __name__ == "__main__":
    sys.exit(main())
