"""A shop on real processes (Valkey, a worker in its own process group, beat) that may be killed at any moment."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from hybrid_search.engines.base import Engine
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.errors import EngineError
from hybrid_search.redis_server import RedisServer
from hybrid_search.types import State
from tests.integration.faults.oracle import Oracle, Verdict

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = ("warm", "(128, 128, 128)")
"""What a starting worker encodes to load its models: no product's work."""


@dataclass
class CrashShop:
    """``with CrashShop(folder) as shop:``; ``start_worker`` and ``kill_worker`` as often as wanted.

    ``server_url`` is an OpenSearch, where the shop has indices of its own until it is left; empty is the embedded engine. ``worker_url``
    is where the worker finds that server when it is to go another way.
    """

    folder: Path
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    server_url: str = ""
    worker_url: str = ""
    server_options: Mapping[str, Any] = field(default_factory=dict)
    redis: RedisServer = field(init=False)
    engine: Engine = field(init=False)
    oracle: Oracle = field(init=False)
    worker: subprocess.Popen[bytes] | None = None
    prefix: str = field(default_factory=lambda: f"crash-{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> CrashShop:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redis = RedisServer(self.folder / "redis")
        self.redis.start()
        if self.server_url:
            options: dict[str, Any] = {"prefix": self.prefix, "retry_pause": 0.2, "timeout": 10.0} | dict(self.server_options)
            self.engine = open_opensearch(self.server_url, **options)
        else:
            self.engine = EmbeddedEngine(self.folder / "home", index=False, retry_pause=0.2)
        self.oracle = Oracle(self.engine)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill_worker()
        if isinstance(self.engine, ClusterEngine):
            with suppress(EngineError):  # a test that failed may leave the server down
                remove_all(self.engine.server.transport, self.engine.server.indices)
        self.engine.close()
        self.redis.stop()

    @property
    def log(self) -> Path:
        """One line per item that an encoder began."""
        return self.folder / "encoded.log"

    def load(self, count: int, *, poison: int = -1) -> None:
        """``count`` products of words only; the one numbered ``poison`` ends every process that encodes it."""
        self.oracle.put((f"p{i:05}", f"{'poison' if i == poison else 'thing'} {i}") for i in range(count))

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
        if self.server_url:
            environment |= {
                "HYBRID_SEARCH_ENGINE": "opensearch",
                "OPENSEARCH_URL": self.worker_url or self.server_url,
                "HYBRID_SEARCH_INDEX_PREFIX": self.prefix,
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

    def stop_worker(self) -> float:
        """SIGTERM to the worker, which finishes what it is at; seconds until it had ended."""
        assert self.worker is not None
        begun = time.monotonic()
        self.worker.terminate()
        self.worker.wait(120)
        self.kill_worker()
        return time.monotonic() - begun

    def children(self) -> list[int]:
        """Process ids of the worker's encoding children."""
        assert self.worker is not None
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        family = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return [pid for pid, parent in family if parent == self.worker.pid and pid != self.beat()]

    def kill_child(self, chance: random.Random) -> None:
        """kill -9 of one of the worker's encoding children; Celery starts another."""
        if children := self.children():
            with suppress(ProcessLookupError):
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
        while not self._holds(condition):
            if time.monotonic() > deadline or (self.worker is not None and self.worker.poll() is not None):
                tail = (self.folder / "worker.log").read_text(errors="replace")[-3_000:]
                raise AssertionError(f"waited in vain for: {what}; {self._status()}\n{tail}")
            time.sleep(0.1 if self.server_url else 0.01)

    def wait_done(self, seconds: float = 120.0) -> None:
        """Until nothing is pending and no chunk is open."""
        self.wait(lambda: self.done() == len(self.oracle.titles) and not self.chunks(), "the end", seconds)

    @staticmethod
    def _holds(condition: Callable[[], bool]) -> bool:
        """A server that is down answers nothing: not yet."""
        try:
            return condition()
        except EngineError:
            return False

    def _status(self) -> object:
        try:
            return self.engine.status()
        except EngineError as error:
            return error

    def seen(self) -> set[str]:
        """Different items that an encoder began."""
        return set(self.encoded()) if self.log.exists() else set()

    def encoded(self) -> list[str]:
        """Every item that an encoder began, warm-ups left out."""
        return [line for line in self.log.read_text().splitlines() if line not in WARM_UP]


@dataclass(frozen=True)
class KillReport:
    """What ``kill_while_embedding`` saw. ``extra`` is the share of encoder work that was begun more than once; times in seconds.

    ``after_last``: from the last kill until everything was done. ``delays``: of live changes made at the moment of a SIGTERM, until they
    were embedded. ``stops``: from the SIGTERM until the worker had ended.
    """

    kills: int
    verdict: Verdict
    extra: float
    chunks_left: int
    seconds: float
    after_last: float
    delays: tuple[float, ...]
    stops: tuple[float, ...]


Kind = Literal["group", "child", "term"]


def kill_while_embedding(
    shop: CrashShop,
    products: int,
    *,
    groups: int = 0,
    children: int = 0,
    terms: int = 0,
    edits: int = 0,
    deletions: int = 0,
    seed: int,
    advance: Callable[[int], object] = lambda done: None,
) -> KillReport:
    """Kill at random moments of the work, then let it finish. Products come in equal parts between the kills, so that each kill meets work.

    ``groups`` times the worker's whole group, ``children`` times one child, ``terms`` times a restart by SIGTERM with a live change at
    that moment. Before each, ``edits`` products get a new version and ``deletions`` are deleted.
    """
    chance = random.Random(seed)
    started = last = time.monotonic()
    kinds: list[Kind] = [*["group"] * groups, *["child"] * children, *["term"] * terms]  # type: ignore[list-item]
    chance.shuffle(kinds)
    portion = products // (len(kinds) + 1)
    loaded = products - portion * len(kinds)
    shop.load(loaded)
    delays: list[float] = []
    stops: list[float] = []
    for number, kind in enumerate(kinds):
        if shop.worker is None:
            shop.start_worker()
        shop.oracle.put((f"p{i:05}", f"thing {i}") for i in range(loaded, loaded + portion))
        loaded += portion
        # From what the encoders began, not from the status: a server's counts are behind, and the goal would never come.
        seen = shop.seen()
        goal = len(seen) + int(chance.random() * len(set(shop.oracle.titles.values()) - seen))
        shop.wait(lambda goal=goal: len(shop.seen()) >= goal, f"{goal} products before kill {number + 1}")  # type: ignore[misc]
        living = sorted(shop.oracle.titles)
        shop.oracle.delete(chance.sample(living, deletions))
        living = sorted(shop.oracle.titles)
        shop.oracle.edit(chance.sample(living, edits))
        time.sleep(chance.random() * 0.05)
        if kind == "group":
            shop.kill_worker()
        elif kind == "child":
            shop.kill_child(chance)
        else:
            # one that is in no chunk yet: a product in a queued chunk waits for that chunk (docs/faults.md)
            id_ = next(one for one in chance.sample(living, len(living)) if shop.oracle.is_ready(one))
            shop.oracle.edit([id_])
            since = time.monotonic()
            stops.append(shop.stop_worker())
            shop.start_worker()
            shop.wait(lambda changed=id_: shop.oracle.is_ready(changed), f"the change of {id_}")  # type: ignore[misc]
            delays.append(time.monotonic() - since)
        last = time.monotonic()
        advance(number + 1)
    if shop.worker is None:
        shop.start_worker()
    shop.wait_done(300.0)
    after_last = time.monotonic() - last
    begun = shop.encoded()
    extra = len(begun) / len(set(begun)) - 1
    verdict = shop.oracle.verdict()
    seconds = time.monotonic() - started
    left = shop.chunks()
    shop.kill_worker()
    return KillReport(len(kinds), verdict, extra, left, seconds, after_last, tuple(delays), tuple(stops))
