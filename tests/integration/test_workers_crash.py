"""Real processes that die at the worst moment: nothing is lost, little is repeated. Full counts: ``python -m scripts.kill_workers``."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from hybrid_search.indexing.progress import Progress
from hybrid_search.types import State
from tests.integration.crash import CrashShop, kill_while_embedding

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[CrashShop]:
    with CrashShop(tmp_path) as made:
        yield made


def test_twenty_kills_lose_nothing_and_repeat_little(tmp_path: Path) -> None:
    products = 4_000
    with CrashShop(tmp_path, processes=2) as shop:
        report = kill_while_embedding(shop, products, groups=5, children=15, seed=20)
        assert (report.kills, report.verdict.ready, report.chunks_left) == (20, products, 0)
        assert (report.verdict.failed, report.verdict.lost, report.verdict.stale) == ((), (), ())
        assert report.extra <= 0.05
        assert set(shop.encoded()) == {f"thing {i}" for i in range(products)}


def test_an_emptied_and_restarted_redis_loses_nothing(shop: CrashShop) -> None:
    shop.load(1_500)
    shop.start_worker()
    shop.wait(lambda: shop.done() > 200, "the first 200 products")
    client = redis.Redis(unix_socket_path=str(shop.redis.socket))
    client.flushall()
    client.close()
    shop.wait(lambda: shop.done() > 500, "500 products after the flush")
    shop.redis.kill()
    time.sleep(4.0)
    stood_still = shop.done()
    shop.redis.start()
    returned = time.monotonic()
    shop.wait(lambda: shop.done() > stood_still + 100, "work after the restart", 30.0)
    waited = time.monotonic() - returned
    shop.wait(lambda: shop.done() == 1_500 and not shop.chunks(), "the end", 120.0)
    assert shop.count(State.READY) == 1_500
    assert waited < 20.0, "the worker consumes again soon after the broker is back"


def test_a_product_that_kills_workers_fails_alone(shop: CrashShop) -> None:
    shop.load(40, poison=17)
    shop.start_worker()
    shop.wait(lambda: shop.done() == 40, "39 ready and one failed", 90.0)
    assert (shop.count(State.READY), shop.count(State.FAILED)) == (39, 1)
    (failure,) = shop.engine.failures()
    assert (failure.product_id, failure.entry.attempts) == ("p00017", 3)
    assert failure.entry.error is not None
    assert failure.entry.error.startswith("worker_died:")
    assert shop.encoded().count("poison 17") == 4, "once among its neighbours, three times alone"


def test_a_worker_whose_scheduler_dies_stops(shop: CrashShop) -> None:
    shop.load(10)
    shop.start_worker()
    shop.wait(lambda: shop.done() == 10, "a running worker")
    os.kill(shop.beat(), signal.SIGKILL)
    assert shop.worker is not None
    assert shop.worker.wait(30) != 0
    assert "the scheduler ended" in (shop.folder / "worker.log").read_text()


def test_a_worker_told_to_stop_ends_although_a_child_hangs(tmp_path: Path) -> None:
    with CrashShop(tmp_path, processes=2, environment={"HYBRID_SEARCH_STOP_WITHIN": "3"}) as shop:
        shop.load(1_000)
        shop.start_worker()
        shop.wait(lambda: shop.done() > 100, "children at work")
        family = [*shop.children(), shop.beat()]
        os.kill(family[0], signal.SIGSTOP)
        assert shop.stop_worker() < 8.0
        assert "told to stop 3 s ago" in (tmp_path / "worker.log").read_text()
        assert not any(Path(f"/proc/{pid}").exists() for pid in family)
        shop.start_worker()
        shop.wait_done()
        assert shop.oracle.verdict().ready == 1_000


def test_progress_follows_a_running_worker(shop: CrashShop) -> None:
    shop.load(600)
    progress = Progress(window=5.0)
    shop.start_worker()
    shop.wait(lambda: shop.done() > 100, "the first 100 products")
    progress.observe(shop.engine.status())
    time.sleep(0.5)
    reading = progress.observe(shop.engine.status())
    if reading.pending:
        assert reading.rate is not None
        assert reading.rate > 0
    shop.wait(lambda: shop.done() == 600, "the end")
    assert progress.observe(shop.engine.status()).eta == 0.0


@pytest.mark.parametrize("whole_group", [False, True], ids=["worker", "group"])
def test_ctrl_c_ends_a_worker_without_an_error(shop: CrashShop, whole_group: bool) -> None:
    shop.load(10)
    shop.start_worker()
    shop.wait(lambda: shop.done() == 10, "a running worker")
    assert shop.worker is not None
    (os.killpg if whole_group else os.kill)(shop.worker.pid, signal.SIGINT)
    assert shop.worker.wait(30) == 0
    log = (shop.folder / "worker.log").read_text()
    assert not re.search(r" ERROR | CRITICAL |Traceback", log), log
