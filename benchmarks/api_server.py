"""WSGI servers side by side on the same application: CPU of the server per request, and latency at 1, 2 and 4 clients.

Every server runs our application over the same words-only index, one process with eight threads where it can be chosen. They are measured in
the order A B C A' then back (each twice, so that a drift of the machine falls on all alike); ``granian`` stands in it twice as control: the
difference of the two is the noise.

    python benchmarks/api_server.py [--requests 400] [--products 2000]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

THREADS = 8
SERVERS = ("granian", "gunicorn", "waitress", "granian (control)")
CLIENTS = (1, 2, 4)
BODY = json.dumps({"q": "blue cotton jacket", "size": 24, "facets": [{"field": "color"}, {"field": "category"}], "explain": True})
TICK = os.sysconf("SC_CLK_TCK")


def application(home: str) -> Any:
    """Our application over ``home``; runs in the serving process."""
    from hybrid_search.api import create_app
    from hybrid_search.bootstrap import build
    from hybrid_search.settings import load_settings

    return create_app(build(load_settings(home=Path(home))))


def serve(server: str, home: str, port: int) -> None:
    """Serve with one of the servers until killed."""
    if server.startswith("granian"):
        from functools import partial

        from granian.constants import Interfaces
        from granian.log import LogLevels
        from granian.server import Server

        granian = Server("app", port=port, interface=Interfaces.WSGI, blocking_threads=THREADS, log_level=LogLevels.error, websockets=False)
        granian.serve(target_loader=partial(application, home), wrap_loader=False)
    elif server == "gunicorn":
        from gunicorn.app.base import BaseApplication

        class Gunicorn(BaseApplication):  # type: ignore[misc]
            def load_config(self) -> None:
                for key, value in {"bind": f"127.0.0.1:{port}", "workers": 1, "worker_class": "gthread", "threads": THREADS}.items():
                    self.cfg.set(key, value)

            def load(self) -> Any:
                return application(home)

        Gunicorn().run()
    else:
        import waitress

        waitress.serve(application(home), host="127.0.0.1", port=port, threads=THREADS)


def fill(home: Path, products: int) -> None:
    """A words-only index of made-up products."""
    from hybrid_search.bootstrap import build
    from hybrid_search.engines.base import ProductWrite
    from hybrid_search.product import Product
    from hybrid_search.settings import load_settings

    colours, stuffs, things = ("Red", "Blue", "Green", "Black"), ("cotton", "wool", "linen"), ("jacket", "shirt", "hat", "bag", "scarf")
    services = build(load_settings(home=home))
    made = [
        Product(
            id=f"p{n:06d}",
            title=f"{colours[n % 4]} {stuffs[n % 3]} {things[n % 5]} {n}",
            description=f"A {things[n % 5]} of fine {stuffs[n % 3]} for every day, number {n}.",
            category=("Clothing", things[n % 5].title()),
            color=colours[n % 4],
            price=float(n % 97),
        )
        for n in range(products)
    ]
    services.engine.put([ProductWrite(product, {"text": (product.id,)}) for product in made], refresh=True)
    services.close()


def family(pid: int) -> list[int]:
    """The process and all below it."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [pid, *(below for child in children for below in family(child))]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def ask(port: int, method: str, path: str, body: str | None, count: int, into: list[float]) -> None:
    """``count`` requests over one kept connection; latencies in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"} if body else {}
    for _ in range(count):
        started = time.perf_counter()
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise SystemExit(f"{path} answered {reply.status}")
        into.append((time.perf_counter() - started) * 1e3)
    connection.close()


def load(port: int, clients: int, count: int, request: tuple[str, str, str | None]) -> list[float]:
    """``count`` requests shared by ``clients`` threads."""
    taken: list[float] = []
    threads = [threading.Thread(target=ask, args=(port, *request, count // clients, taken)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def measure(server: str, home: Path, requests: int, note: Callable[[str, int, str, float, list[float]], None]) -> None:
    """Start the server, warm it, load it, stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, "--serve", server, "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        for kind, request in (("search", ("POST", "/v1/search", BODY)), ("healthz", ("GET", "/healthz", None))):
            load(port, 2, 60, request)
            for clients in CLIENTS:
                before = cpu_seconds(process.pid)
                taken = load(port, clients, requests, request)
                note(server, clients, kind, (cpu_seconds(process.pid) - before) / len(taken) * 1e3, taken)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.home, given.port)
        return
    cpu: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    latency: dict[tuple[str, str, int], list[float]] = defaultdict(list)

    def note(server: str, clients: int, kind: str, cpu_ms: float, taken: list[float]) -> None:
        cpu[kind, server, clients].append(cpu_ms)
        latency[kind, server, clients] += taken

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), given.products)
        for server in (*SERVERS, *reversed(SERVERS)):
            measure(server, Path(folder), given.requests, note)
    rows = []
    print(f"{'':9}{'server':20}{'clients':>8}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for key, taken in sorted(latency.items(), key=lambda item: (item[0][0], item[0][2], SERVERS.index(item[0][1]))):
        kind, server, clients = key
        p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        rows.append(
            {"request": kind, "server": server, "clients": clients, "cpu_ms": statistics.mean(cpu[key]), "p50_ms": p50, "p99_ms": p99}
        )
        print(f"{kind:9}{server:20}{clients:8}{rows[-1]['cpu_ms']:9.2f}{p50:9.2f}{p99:9.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
