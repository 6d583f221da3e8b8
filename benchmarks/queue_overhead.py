"""What the queue costs per product: one Celery task per product against chunks, on a real broker and a real worker.

    python -m benchmarks.queue_overhead [--products 6400] [--rounds 3]

The tasks do none of the work itself, so that only the way there and back is measured: CPU seconds of sender, worker and Redis together,
in ABBA order, beside an A/A pair that shows the noise. Two pairs: messages alone (what Celery costs), and the whole way through the
ledger (open, send, start, finish), once with chunks of 64 and once with chunks of 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.redis_server import RedisServer
from hybrid_search.settings import Settings, load_settings
from hybrid_search.types import Priority, Space
from workers.app import CeleryBroker, create_app

CHUNK = 64
TICKS = os.sysconf("SC_CLK_TCK")


def serve_worker(settings: Settings) -> None:
    """The worker side: the project's app with two tasks that do nothing but what the queue itself needs."""
    app = create_app(settings)
    engines: dict[int, EmbeddedEngine] = {}

    @app.task(name="ids")  # type: ignore[untyped-decorator]
    def ids(chunk_id: str, product_ids: list[str]) -> None:
        return None

    @app.task(name="embed_chunk")  # type: ignore[untyped-decorator]
    def chunk(chunk_id: str, product_ids: list[str]) -> None:
        engine = engines.setdefault(os.getpid(), EmbeddedEngine(settings.home, index=False))
        if engine.start_chunk(chunk_id) is not None:
            engine.finish_chunk(chunk_id)

    app.conf.include = []
    app.Worker(pool_cls="prefork", concurrency=1, quiet=True, loglevel="ERROR", without_gossip=True, without_mingle=True).start()


class Bench:
    """Sender, worker and Redis, and their CPU time."""

    def __init__(self, settings: Settings, redis: RedisServer, worker: subprocess.Popen[bytes]) -> None:
        self.app: Any = create_app(settings)
        self.engine = EmbeddedEngine(settings.home, index=False)
        self._redis, self._worker = redis, worker
        self._client = self.app.connection_for_read().default_channel.client

    def messages(self, products: int, size: int) -> None:
        names = [f"p{i:06}" for i in range(products)]
        for start in range(0, products, size):
            self.app.send_task("ids", (f"chunk-{start}", names[start : start + size]), queue="backfill")
        self._drained()

    def ledger(self, products: int, size: int) -> None:
        broker = CeleryBroker(self.app)
        for chunk in self.engine.open_chunks(at_most=products // size, size=size):
            broker.send(chunk)
        self._drained()

    def cpu(self, work: Callable[[], None]) -> float:
        """CPU seconds of all three while ``work`` runs."""
        before = self._cpu()
        work()
        return self._cpu() - before

    def _drained(self) -> None:
        while any((self._client.llen("backfill"), self._client.hlen("unacked"))):
            time.sleep(0.05)

    def _cpu(self) -> float:
        pids = [self._worker.pid, *_children(self._worker.pid), self._redis.pid]
        ticks = sum(int(field) for pid in pids for field in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
        return time.process_time() + ticks / TICKS


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def bench(folder: Path, products: int) -> Iterator[Bench]:
    """A shop of ``products`` pending products with everything running."""
    with RedisServer(folder / "redis") as redis:
        settings = load_settings(home=folder / "home", redis_url=redis.url)
        engine = EmbeddedEngine(settings.home, index=False)
        engine.add_space(Space("text", 1, 8, "text", "none", {}))
        for start in range(0, products, 1_000):
            batch = [Product(id=f"p{i:06}", title=f"thing {i}") for i in range(start, min(start + 1_000, products))]
            engine.put([ProductWrite(product, {"text": (product.id,)}) for product in batch], priority=Priority.BACKFILL)
        engine.close()
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.queue_overhead", "--worker", str(settings.home), redis.url],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            made = Bench(settings, redis, worker)
            made.messages(64, 1)  # the worker is up and everything has been used once
            made.ledger(64, 1)
            yield made
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def measure(one: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Medians of ``one`` and ``other`` in ABBA order, and the ratio of ``one``'s own two halves (A/A)."""
    a: list[float] = []
    b: list[float] = []
    for _ in range(rounds):
        a.append(one())
        b.append(other())
        b.append(other())
        a.append(one())
    return statistics.median(a), statistics.median(b), statistics.median(a[::2]) / statistics.median(a[1::2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_920, help="products per run with one task each; chunks carry ten times as many")
    parser.add_argument("--rounds", type=int, default=3, help="ABBA rounds")
    parser.add_argument("--worker", nargs=2, metavar=("HOME", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        serve_worker(load_settings(home=Path(given.worker[0]), redis_url=given.worker[1]))
        return
    few, many = given.products, 10 * given.products
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder), many) as made:
        for name, way in (("messages", made.messages), ("ledger", made.ledger)):
            single, chunked, noise = measure(
                lambda way=way: made.cpu(lambda: way(few, 1)) / few,  # type: ignore[misc]
                lambda way=way: made.cpu(lambda: way(many, CHUNK)) / many,  # type: ignore[misc]
                given.rounds,
            )
            report[name] = {
                "one_per_task_us": round(single * 1e6, 1),
                f"{CHUNK}_per_task_us": round(chunked * 1e6, 1),
                "ratio": round(single / chunked, 1),
                "a_over_a": round(noise, 3),
            }
        report["whole way against bare messages"] = {
            "ratio": round(report["messages"]["one_per_task_us"] / report["ledger"][f"{CHUNK}_per_task_us"], 1)
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
