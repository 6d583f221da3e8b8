"""A shop on real processes (Valkey, a worker in its own process group, beat) that may be killed at any moment."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.indexing.parts import text_hash
from hybrid_search.product import Product
from hybrid_search.redis_server import RedisServer
from hybrid_search.types import Priority, State

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = ("warm", "(128, 128, 128)")
"""What a starting worker encodes to load its models: no product's work."""


@dataclass
class CrashShop:
    """``with CrashShop(folder) as shop:``; ``start_worker`` and ``kill_worker`` as often as wanted."""

    folder: Path
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    redis: RedisServer = field(init=False)
    engine: EmbeddedEngine = field(init=False)
    worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CrashShop:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redis = RedisServer(self.folder / "redis")
        self.redis.start()
        self.engine = EmbeddedEngine(self.folder / "home", index=False, retry_pause=0.2)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill_worker()
        self.engine.close()
        self.redis.stop()

    @property
    def log(self) -> Path:
        """One line per item that an encoder began."""
        return self.folder / "encoded.log"

    def load(self, count: int, *, poison: int = -1) -> None:
        """``count`` products of words only; the one numbered ``poison`` ends every process that encodes it."""
        for start in range(0, count, 1_000):
            products = [
                Product(id=f"p{i:05}", title=f"{'poison' if i == poison else 'thing'} {i}") for i in range(start, min(start + 1_000, count))
            ]
            writes = [ProductWrite(product, {"text": (text_hash(product.title),)}) for product in products]
            self.engine.put(writes, priority=Priority.BACKFILL)

    def start_worker(self) -> None:
        environment = {
            "REDIS_URL": self.redis.url,
            "HYBRID_SEARCH_HOME": str(self.folder / "home"),
            "HYBRID_SEARCH_WORKER_PROCESSES": str(self.processes),
            "HYBRID_SEARCH_FEED_EVERY": "0.25",
            "HYBRID_SEARCH_CHUNK_SILENCE": "2",
            "HYBRID_SEARCH_QUEUE_SILENCE": "2",
            "HYBRID_SEARCH_RETRY_PAUSE": "0.2",
            "TINY_SECONDS": "0.003",
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.tiny_worker", str(self.log)],
                cwd=ROOT,
                env={**os.environ, **environment, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        """kill -9 of the whole group: worker, children, beat."""
        if self.worker is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()
            self.worker = None

    def kill_child(self, chance: random.Random) -> None:
        """kill -9 of one of the worker's encoding children; Celery starts another."""
        assert self.worker is not None
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        family = [tuple(map(int, line.split())) for line in listed.splitlines()]
        if children := [pid for pid, parent in family if parent == self.worker.pid and pid != self.beat()]:
            os.kill(chance.choice(children), signal.SIGKILL)

    def beat(self) -> int:
        """Process id of the newest scheduler, as the worker's log tells it."""
        return int(re.findall(r"the scheduler is process (\d+)", (self.folder / "worker.log").read_text(errors="replace"))[-1])

    def count(self, state: State, space: str = "text_1") -> int:
        return self.engine.status().states.get(space, {}).get(state, 0)

    def chunks(self) -> int:
        """Chunks queued or running."""
        queue = self.engine.status().queue
        return queue.queued + queue.running

    def done(self) -> int:
        return self.count(State.READY) + self.count(State.FAILED)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Raises ``AssertionError`` with the end of the worker's log when ``condition`` does not come true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or (self.worker is not None and self.worker.poll() is not None):
                tail = (self.folder / "worker.log").read_text(errors="replace")[-3_000:]
                raise AssertionError(f"waited in vain for: {what}; {self.engine.status()}\n{tail}")
            time.sleep(0.01)

    def encoded(self) -> list[str]:
        """Every item that an encoder began, warm-ups left out."""
        return [line for line in self.log.read_text().splitlines() if line not in WARM_UP]


@dataclass(frozen=True)
class KillReport:
    """What ``kill_while_embedding`` saw. ``extra`` is the share of encoder work beyond one item per product."""

    kills: int
    ready: int
    failed: int
    extra: float
    chunks_left: int
    seconds: float


def kill_while_embedding(shop: CrashShop, products: int, *, groups: int, children: int, seed: int) -> KillReport:
    """Kill at random moments of the work, ``groups`` times the worker's whole group and ``children`` times one child; then let it finish."""
    chance = random.Random(seed)
    started = time.monotonic()
    shop.load(products)
    kinds = [True] * groups + [False] * children
    chance.shuffle(kinds)
    step = products / (len(kinds) + 1)
    for number, whole_group in enumerate(kinds):
        if shop.worker is None:
            shop.start_worker()
        target = min(int(step * (number + chance.random())), products - 1)
        shop.wait(lambda goal=target: shop.done() >= goal, f"{target} products before kill {number + 1}")  # type: ignore[misc]
        time.sleep(chance.random() * 0.05)
        if whole_group:
            shop.kill_worker()
        else:
            shop.kill_child(chance)
    if shop.worker is None:
        shop.start_worker()
    shop.wait(lambda: shop.done() == products and not shop.chunks(), "the end", 300.0)
    extra = len(shop.encoded()) / products - 1
    report = KillReport(len(kinds), shop.count(State.READY), shop.count(State.FAILED), extra, shop.chunks(), time.monotonic() - started)
    shop.kill_worker()
    return report
