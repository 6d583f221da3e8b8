"""Searches while the search server takes requests and answers none: over within their time, by what was known before."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hybrid_search.bootstrap import Services, build
from hybrid_search.control import edit_control
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.errors import EngineUnavailable
from hybrid_search.product import Product
from hybrid_search.query.pipeline import search
from hybrid_search.query.request import SearchRequest
from hybrid_search.settings import load_settings
from hybrid_search.types import KeywordLeg, SearchPlan
from tests.integration.faults.proxy import FaultyProxy

TIMEOUT = 1.5
SLACK = 0.7
"""Seconds for a busy machine."""
POLLED = 1.1
"""Seconds after which control document and spaces are read again."""
RED = SearchRequest(q="red", size=1, weights={"text": 0.0, "cross": 0.0})


@dataclass
class Shop:
    proxy: FaultyProxy
    services: Services

    def timed(self, request: SearchRequest) -> tuple[float, str]:
        """Seconds until the answer, and what it was: the first hit, ``degraded`` or the error."""
        started = time.monotonic()
        try:
            reply = search(request, self.services.search_parts)
            told = reply.hits[0].id if reply.hits else f"degraded {reply.degraded}"
        except EngineUnavailable as err:
            told = f"unavailable {err}"
        return time.monotonic() - started, told


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in ("opensearch", "elasticsearch")])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    prefix = f"hanging-{uuid.uuid4().hex[:8]}"
    with FaultyProxy(request.getfixturevalue(f"{request.param}_url")) as proxy:
        address = {f"{request.param}_url": proxy.url}
        settings = load_settings(
            engine=request.param, index_prefix=prefix, home=tmp_path, search_timeout=TIMEOUT, server_timeout=6.0, **address
        )
        services = build(settings, follow=True)
        try:
            services.engine.put([ProductWrite(Product(id=id_, title="red shoe"), {}) for id_ in ("a", "b")], refresh=True)
            yield Shop(proxy, services)
        finally:
            proxy.heal()
            services.close()
            again = build(settings, make_spaces=False)
            assert isinstance(again.engine, ClusterEngine)
            remove_all(again.engine.server.transport, again.engine.server.indices)
            again.close()


def test_a_search_is_over_in_its_time_while_the_server_hangs(shop: Shop) -> None:
    assert shop.timed(RED)[1] == "a"
    following = search(RED, shop.services.search_parts).next
    assert following is not None
    shop.proxy.swallow()
    time.sleep(POLLED)
    for request in (RED, RED, SearchRequest(next=following, size=1), SearchRequest(like="a")):
        took, told = shop.timed(request)
        assert took < TIMEOUT + SLACK, told
        assert told.startswith(("degraded", "unavailable The search server"))
    parts = shop.services.search_parts
    assert "No answer for" in str(parts.control.error) or "did not answer in time" in str(parts.control.error)
    shop.proxy.heal()
    deadline = time.monotonic() + 15.0
    while (told := shop.timed(RED)[1]) != "a":
        assert time.monotonic() < deadline, told
    while parts.control.error or parts.spaces.error:
        assert time.monotonic() < deadline
        shop.timed(RED)


def test_news_that_do_not_come_hold_up_no_search(shop: Shop) -> None:
    """The control document and the spaces hang, the products answer: as where one shard is gone."""
    edit_control(shop.services.engine, lambda body: body.update(fusion="rrf"))
    time.sleep(POLLED)
    parts = shop.services.search_parts
    assert parts.control.read_now()[1].fusion == "rrf"
    assert shop.timed(RED)[1] == "a"
    shop.proxy.hang_on = "-meta/"
    time.sleep(POLLED)
    answers: list[tuple[float, str]] = []
    threads = [threading.Thread(target=lambda: answers.append(shop.timed(RED))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(took < TIMEOUT + SLACK for took, _ in answers), answers
    assert [told for _, told in answers] == ["a"] * 4
    time.sleep(POLLED)
    assert shop.timed(RED)[1] == "a", "one search alone meets all the news that do not come"
    found = shop.services.engine.search(SearchPlan((KeywordLeg("bm25", "red", {"title": 1.0}, "1", 10),), timeout=TIMEOUT))
    assert found.legs["bm25"].ids == ("a", "b"), "what was known of the index is enough"
    assert parts.control.current()[1].fusion == "rrf", "the last known document stands"
    assert parts.control.error


def test_a_hang_right_after_a_refresh_holds_up_no_search(shop: Shop) -> None:
    assert shop.timed(RED)[1] == "a"
    shop.services.engine.refresh()
    shop.proxy.hang_on = "-meta/"
    assert shop.timed(RED)[1] == "a"
