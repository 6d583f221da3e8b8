"""What happens to a search server: gone, hanging, out of reach, busy, refusing items; while a worker embeds and a shop writes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hybrid_search.search_server import SearchServer
from tests.integration.crash import CrashShop
from tests.integration.faults.oracle import Verdict
from tests.integration.faults.proxy import FaultyProxy

ServerFault = Literal["stopped", "paused", "refusing", "black-holed", "429"]
SERVER_FAULTS: tuple[ServerFault, ...] = get_args(ServerFault)


@dataclass(frozen=True)
class ServerReport:
    """``back``: seconds from the end of the fault until a product was embedded again; ``refused``: writes of the shop that were not
    accepted at first; ``grown``: MB that this process and the worker's family grew by at most while the fault lasted."""

    fault: ServerFault
    verdict: Verdict
    extra: float
    back: float
    refused: int
    grown: float
    seconds: float


def break_server(
    shop: CrashShop, fault: ServerFault, *, proxy: FaultyProxy, node: SearchServer | None, products: int, down: float
) -> ServerReport:
    """Half of ``products`` are there and in work when the fault begins; the shop goes on writing the other half during it.

    The shop's own writes and its worker's go through ``proxy``; ``node`` is the server behind it, for the faults that are its own.
    """
    started = time.monotonic()
    half = products // 2
    shop.oracle.put((f"p{i:05}", f"thing {i}") for i in range(half))
    if shop.worker is None:
        shop.start_worker()
    before = len(shop.seen())
    shop.wait(lambda: len(shop.seen()) >= before + half // 4, "the first products")

    def write() -> None:
        for start in range(half, products, 50):
            shop.oracle.put(((f"p{i:05}", f"thing {i}") for i in range(start, min(start + 50, products))), seconds=down + 120)

    writer = threading.Thread(target=write)
    _begin(fault, proxy, node)
    writer.start()
    with _memory(shop) as grown:
        time.sleep(down)
    _end(fault, proxy, node)
    ended = time.monotonic()
    seen = len(shop.seen())
    shop.wait(lambda: len(shop.seen()) > seen or shop.done() == products, "work after the fault", 90.0)
    back = time.monotonic() - ended
    writer.join(180)
    assert not writer.is_alive(), "the shop's writes are accepted"
    shop.wait_done(240.0)
    begun = shop.encoded()
    extra = len(begun) / len(set(begun)) - 1
    return ServerReport(fault, shop.oracle.verdict(), extra, back, shop.oracle.refused, grown(), time.monotonic() - started)


def _begin(fault: ServerFault, proxy: FaultyProxy, node: SearchServer | None) -> None:
    if fault == "refusing":
        proxy.refuse()
    elif fault == "black-holed":
        proxy.swallow()
    elif fault == "429":
        proxy.busy, proxy.busy_items, proxy.conflicts = 0.3, 0.2, 0.1
    else:
        assert node is not None, f"{fault} needs a node of its own"
        if fault == "paused":
            node.pause()
        else:
            node.kill()


def _end(fault: ServerFault, proxy: FaultyProxy, node: SearchServer | None) -> None:
    proxy.heal()
    if node is not None:
        if fault == "paused":
            node.resume()
        elif fault == "stopped":
            node.start()


@contextmanager
def _memory(shop: CrashShop) -> Iterator[Callable[[], float]]:
    """How many MB this process and the worker's family grew by at most during the block."""
    assert shop.worker is not None
    first = most = _resident(shop.worker.pid)
    ended = threading.Event()

    def look() -> None:
        nonlocal most
        while not ended.wait(0.5):
            assert shop.worker is not None
            most = max(most, _resident(shop.worker.pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield lambda: (most - first) / 1e6
    finally:
        ended.set()
        looking.join()


def _resident(group: int) -> int:
    """Bytes in memory of this process and of all processes of a group."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if int(folder.name) == os.getpid() or os.getpgid(int(folder.name)) == group:
                    total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total
