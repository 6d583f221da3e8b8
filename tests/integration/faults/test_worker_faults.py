"""Workers, broker and poison at small counts; the full ones: ``python -m scripts.kill_workers``, ``scripts.faults.broker``, ``scripts.faults.poison``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.crash import CrashShop, kill_while_embedding
from tests.integration.faults.broker_faults import BROKER_FAULTS, BrokerFault, break_broker
from tests.integration.faults.poison import ENVIRONMENT, feed_poison

pytestmark = pytest.mark.slow


def test_killed_workers_lose_nothing_on_a_server(tmp_path: Path, opensearch_url: str) -> None:
    with CrashShop(tmp_path, processes=2, server_url=opensearch_url) as shop:
        report = kill_while_embedding(shop, 400, groups=1, children=1, terms=1, edits=5, deletions=2, seed=4)
        assert (report.verdict.failed, report.verdict.lost, report.verdict.stale) == ((), (), ())
        assert report.verdict.ready == report.verdict.products == 400 - 3 * 2
        assert report.chunks_left == 0
        assert report.extra <= 0.05
        assert report.after_last < 60.0
        assert max(report.delays) < 30.0


@pytest.mark.parametrize("fault", [fault for fault in BROKER_FAULTS if fault != "kill, AOF always"])
def test_a_broker_that_fails_loses_nothing(tmp_path: Path, fault: BrokerFault) -> None:
    with CrashShop(tmp_path) as shop:
        report = break_broker(shop, fault, 1, products=120)
        assert (report.verdict.failed, report.verdict.lost, report.verdict.stale) == ((), (), ())
        assert report.verdict.ready == 120
        assert max(report.back) < (45.0 if fault == "silent consumer" else 10.0)
        assert report.extra <= 0.05
        assert ("the worker begins anew" in (tmp_path / "worker.log").read_text()) == (fault == "silent consumer")


def test_poison_fails_alone_whatever_it_does(tmp_path: Path) -> None:
    with CrashShop(tmp_path, processes=2, environment=ENVIRONMENT) as shop:
        report = feed_poison(shop, 60, 4)
        assert report.wrong == ()
        assert report.verdict.failed == report.poisonous
        assert (report.verdict.ready, report.verdict.lost, report.verdict.stale) == (56, (), ())
        assert report.away < 10.0
