"""What happens to a broker: each fault is done to the shop's own Valkey while its worker embeds, and ended again."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import redis

from hybrid_search.settings import load_settings
from tests.integration.crash import CrashShop
from tests.integration.faults.oracle import Verdict
from workers.app import create_app

BrokerFault = Literal["kill, AOF always", "kill, AOF everysec", "kill, no AOF", "FLUSHALL", "out of memory", "read-only", "silent consumer"]
BROKER_FAULTS: tuple[BrokerFault, ...] = get_args(BrokerFault)


@dataclass(frozen=True)
class BrokerReport:
    """``back``: seconds from the end of each fault until a product was embedded again."""

    fault: BrokerFault
    verdict: Verdict
    extra: float
    back: tuple[float, ...]
    seconds: float


def break_broker(
    shop: CrashShop,
    fault: BrokerFault,
    times: int,
    *,
    products: int = 200,
    down: float = 1.0,
    seed: int = 1,
    advance: Callable[[int], object] = lambda done: None,
) -> BrokerReport:
    """Do ``fault`` ``times`` times, each lasting about ``down`` seconds, and for each load ``products`` that are to be embedded."""
    chance = random.Random(seed)
    started = time.monotonic()
    back: list[float] = []
    if shop.worker is None:
        shop.start_worker()
    for number in range(times):
        first = len(shop.oracle.titles)
        shop.oracle.put((f"p{i:05}", f"thing {i}") for i in range(first, first + products))
        goal = first + int(products * chance.uniform(0.1, 0.4))
        shop.wait(lambda goal=goal: len(shop.seen()) >= goal, f"{goal} products before fault {number + 1}")  # type: ignore[misc]
        _break(shop, fault, down)
        ended = time.monotonic()
        if fault == "silent consumer":
            shop.wait(lambda times=number + 1: _begun_anew(shop) >= times, "a worker that begins anew")  # type: ignore[misc]
        seen = len(shop.seen())
        shop.wait(lambda seen=seen: len(shop.seen()) > seen or shop.done() == len(shop.oracle.titles), "work after the fault", 60.0)  # type: ignore[misc]
        back.append(time.monotonic() - ended)
        shop.wait_done()
        advance(number + 1)
    begun = shop.encoded()
    return BrokerReport(fault, shop.oracle.verdict(), len(begun) / len(set(begun)) - 1, tuple(back), time.monotonic() - started)


def _begun_anew(shop: CrashShop) -> int:
    return (shop.folder / "worker.log").read_text(errors="replace").count("the worker begins anew")


def _break(shop: CrashShop, fault: BrokerFault, down: float) -> None:
    with redis.Redis(unix_socket_path=str(shop.redis.socket), single_connection_client=True) as client:
        if fault == "FLUSHALL":
            client.flushall()
        elif fault == "out of memory":
            client.config_set("maxmemory", 1)
            time.sleep(down)
            client.config_set("maxmemory", 0)
        elif fault == "read-only":
            client.replicaof("127.0.0.1", "1")
            time.sleep(down)
            client.replicaof("NO", "ONE")
        elif fault == "silent consumer":
            control = create_app(load_settings(redis_url=shop.redis.url)).control
            for queue in ("feed", "live", "backfill"):
                control.cancel_consumer(queue, reply=True, timeout=5.0, limit=1)  # without it the whole time is waited for more replies
        elif fault == "kill, AOF always":
            client.config_set("appendfsync", "always")
        elif fault == "kill, no AOF":
            client.config_set("appendonly", "no")
    if fault.startswith("kill"):
        shop.redis.kill()
        if fault == "kill, no AOF":
            shutil.rmtree(shop.folder / "redis" / "appendonlydir")
        time.sleep(down)
        shop.redis.start()
