"""A search server that goes wrong, at small counts; the full ones: ``python -m scripts.faults.server``."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_search.search_server import start_node
from tests.integration.crash import CrashShop
from tests.integration.faults.item_faults import refuse_items
from tests.integration.faults.proxy import FaultyProxy
from tests.integration.faults.server_faults import ServerFault, ServerReport, break_server

pytestmark = [pytest.mark.slow, pytest.mark.engine("opensearch")]


def sound(report: ServerReport, products: int) -> None:
    assert (report.verdict.ready, report.verdict.failed, report.verdict.lost, report.verdict.stale) == (products, (), (), ())
    assert report.grown < 100
    assert report.extra <= 0.05


@pytest.mark.parametrize("fault", ["refusing", "black-holed", "429"])
def test_a_server_out_of_reach_is_waited_for(tmp_path: Path, opensearch_url: str, fault: ServerFault) -> None:
    with FaultyProxy(opensearch_url) as proxy, CrashShop(tmp_path, server_url=proxy.url) as shop:
        report = break_server(shop, fault, proxy=proxy, node=None, products=100, down=3.0)
        sound(report, 100)
        assert (proxy.injected["requests 429"] + proxy.injected["items 429"] > 0) == (fault == "429")


def test_a_server_that_hangs_and_one_that_is_killed(tmp_path: Path) -> None:
    with start_node("opensearch") as node, FaultyProxy(node.url) as proxy:
        for fault in ("paused", "stopped"):
            with CrashShop(tmp_path / fault, server_url=proxy.url) as shop:
                sound(break_server(shop, fault, proxy=proxy, node=node, products=100, down=3.0), 100)


def test_refused_items_are_tried_again_or_told_once(tmp_path: Path, opensearch_url: str) -> None:
    with FaultyProxy(opensearch_url) as proxy, CrashShop(tmp_path, processes=2, server_url=proxy.url) as shop:
        report = refuse_items(shop, proxy, 500, bad=3)
        assert sorted(report.told) == list(report.unwritable)
        assert report.listed == report.unembeddable
        assert report.wrong == ()
        assert (report.verdict.ready, report.verdict.lost, report.verdict.stale) == (494, (), ())
        assert min(report.injected[kind] for kind in ("requests 429", "items 429", "items 409", "items 400")) > 0
        assert report.extra <= 0.05


def test_a_product_whose_ledger_cannot_be_written_holds_nobody_up(tmp_path: Path, opensearch_url: str) -> None:
    with FaultyProxy(opensearch_url) as proxy, CrashShop(tmp_path, server_url=proxy.url) as shop:
        shop.load(3)
        proxy.unmappable, proxy.carrying = {"p00001"}, b"script"
        shop.start_worker()
        log = tmp_path / "worker.log"
        shop.wait(lambda: "refused to change the ledger of product 'p00001'" in log.read_text(), "its chunk given up")
        shop.oracle.put([("p00007", "thing 7")])
        shop.wait(lambda: shop.oracle.is_ready("p00007"), "another product")
