"""Three nodes, a shop that searches and writes, and one node that dies; then everything is lost and comes back from a snapshot."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.evaluation.settling import settle
from hybrid_search.search_server import Cluster
from hybrid_search.search_server.node import free_port
from tests.integration.crash import ROOT, CrashShop
from tests.integration.faults.oracle import Verdict

PER_SECOND = 20


@dataclass
class Asked:
    """Searches through the API: how many, what failed (status and text), how many answers said that a leg was missing, the slowest in seconds."""

    count: int = 0
    failed: list[str] = field(default_factory=list)
    degraded: int = 0
    slowest: float = 0.0


@dataclass(frozen=True)
class ClusterReport:
    """``lost`` and ``stale`` of the verdict: acknowledged writes. ``differing``: queries that the restored index answers otherwise."""

    verdict: Verdict
    asked: Asked
    refused: int
    differing: tuple[str, ...]
    seconds: float


def lose_a_node(shop: CrashShop, cluster: Cluster, products: int, *, seed: int = 1, queries: int = 100) -> ClusterReport:
    """``shop`` is on all nodes with one replica. A node is killed while half of ``products`` are there and the others are being written."""
    started = time.monotonic()
    chance = random.Random(seed)
    half = products // 2
    shop.start_worker()
    shop.load(half)
    asked = Asked()
    with _api(shop) as url:
        with _asking(url, half, asked, chance):
            time.sleep(1.0)

            def write_the_rest() -> None:
                for start in range(half, products, 20):
                    _write(shop, start, min(start + 20, products))

            writer = threading.Thread(target=write_the_rest)
            writer.start()
            time.sleep(1.0)
            node = chance.choice(cluster.nodes)
            node.kill()
            writer.join(180)
            assert not writer.is_alive(), "the shop's writes are accepted"
            shop.wait_done(180.0)
        verdict = shop.oracle.verdict()
        node.start()
        differing = _restore(shop, cluster, url, [f"thing {number}" for number in chance.sample(range(products), min(queries, products))])
    return ClusterReport(verdict, asked, shop.oracle.refused, differing, time.monotonic() - started)


def _write(shop: CrashShop, first: int, end: int) -> None:
    shop.oracle.put((f"p{i:05}", f"thing {i}") for i in range(first, end))
    time.sleep(0.2)


@contextmanager
def _api(shop: CrashShop) -> Iterator[str]:
    """A real API process on the shop's index."""
    port = free_port()
    environment = {
        "REDIS_URL": shop.redis.url,
        "TINY_LOG": str(shop.folder / "asked.log"),
        "HYBRID_SEARCH_HOME": str(shop.folder / "home"),
        "HYBRID_SEARCH_TEXT_ENCODER": "tiny-text",
        "HYBRID_SEARCH_IMAGE_ENCODER": "tiny-image",
        "HYBRID_SEARCH_ENGINE": "opensearch",
        "OPENSEARCH_URL": shop.server_url,
        "HYBRID_SEARCH_INDEX_PREFIX": shop.prefix,
        "HYBRID_SEARCH_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    with (shop.folder / "api.log").open("ab") as log:
        command = [sys.executable, "-m", "tests.integration.spaces_shop", "api"]
        api = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _is_up(url):
            assert time.monotonic() < deadline and api.poll() is None, (shop.folder / "api.log").read_text()[-2_000:]
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(api.pid, signal.SIGKILL)
        api.wait()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def _asking(url: str, products: int, asked: Asked, chance: random.Random) -> Iterator[None]:
    """``PER_SECOND`` searches a second from a few threads; none is repeated by the asker."""
    ended = threading.Event()
    lock = threading.Lock()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            while not ended.wait(4 / PER_SECOND):
                begun = time.monotonic()
                with lock:
                    number = chance.randrange(products)
                try:
                    reply = client.post(f"{url}/v1/search", json={"q": f"thing {number}", "size": 3})
                    failure = "" if reply.status_code == 200 else f"{reply.status_code} {reply.text[:300]}"
                    degraded = reply.status_code == 200 and bool(reply.json().get("degraded"))
                except httpx.HTTPError as error:
                    failure, degraded = repr(error), False
                with lock:
                    asked.count += 1
                    asked.degraded += degraded
                    asked.slowest = max(asked.slowest, time.monotonic() - begun)
                    if failure:
                        asked.failed.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _restore(shop: CrashShop, cluster: Cluster, url: str, queries: list[str]) -> tuple[str, ...]:
    """Snapshot, delete, restore; the queries that are answered otherwise than before."""
    assert isinstance(shop.engine, ClusterEngine)
    ask = shop.engine.server.transport.request
    shop.stop_worker()
    ask(
        "GET",
        "/_cluster/health",
        params={"wait_for_status": "green", "wait_for_nodes": str(len(cluster.nodes)), "timeout": "60s"},
        timeout=70.0,
    )
    settle(shop.engine)  # primary and replica count other deleted products otherwise, and answers depend on which one is asked
    before = {query: _answer(url, query) for query in queries}
    ask("PUT", "/_snapshot/faults", {"type": "fs", "settings": {"location": str(cluster.repository)}})
    named = {"indices": f"{shop.prefix}-*", "include_global_state": False}
    ask("PUT", "/_snapshot/faults/one", named, params={"wait_for_completion": "true"}, timeout=120.0)
    for index in ask("GET", f"/{shop.prefix}-*/_settings").body:
        ask("DELETE", f"/{index}")
    ask("POST", "/_snapshot/faults/one/_restore", named, params={"wait_for_completion": "true"}, timeout=120.0)
    ask("GET", f"/_cluster/health/{shop.prefix}-*", params={"wait_for_status": "yellow", "timeout": "60s"}, timeout=70.0)
    time.sleep(2.0)  # the API knows its spaces for a second
    return tuple(query for query in queries if _answer(url, query) != before[query])


def _answer(url: str, query: str) -> Any:
    reply = httpx.post(f"{url}/v1/search", json={"q": query, "size": 10}, timeout=30.0, trust_env=False)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    return [(hit["id"], round(hit["score"], 5)) for hit in body["hits"]]
