"""Rounds of the feeder on a real ledger, with a broker that is two lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hybrid_search.indexing.feeder import FeedRound, feed
from hybrid_search.types import Chunk, Priority
from tests.indexing_parts import Shop, product


@dataclass
class ListBroker:
    """Keeps what was sent, first come first."""

    queues: dict[Priority, list[Chunk]] = field(default_factory=lambda: {priority: [] for priority in Priority})
    broken: bool = False
    allowed: int = 0
    asked: list[float] = field(default_factory=list)

    def backfill_allowance(self, per_second: float) -> int:
        self.asked.append(per_second)
        return self.allowed

    def waiting(self) -> Mapping[Priority, int]:
        return {priority: len(chunks) for priority, chunks in self.queues.items()}

    def send(self, chunk: Chunk) -> None:
        if self.broken:
            raise ConnectionError("no broker")
        self.queues[chunk.priority].append(chunk)

    def take(self) -> Chunk:
        """As a worker does: live before backfill."""
        return (self.queues[Priority.LIVE] or self.queues[Priority.BACKFILL]).pop(0)

    def flush(self) -> None:
        """Everything is lost."""
        for chunks in self.queues.values():
            chunks.clear()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    yield made
    made.engine.close()


def round_of(shop: Shop, broker: ListBroker, *, max_open: int = 4, size: int = 2) -> FeedRound:
    return feed(
        shop.engine,
        broker,
        lambda: shop.engine.status().queue,
        max_open=max_open,
        chunk_size=size,
        chunk_silence=12.0,
        queue_silence=30.0,
    )


def drain(shop: Shop, broker: ListBroker) -> None:
    while any(broker.waiting().values()):
        shop.embed(broker.take().id)
        round_of(shop, broker)


def test_a_million_pending_products_flood_nothing(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(50)), priority=Priority.BACKFILL)
    broker = ListBroker()
    assert round_of(shop, broker) == FeedRound(sent=4)
    assert round_of(shop, broker) == FeedRound()
    shop.embed(broker.take().id)
    assert round_of(shop, broker) == FeedRound(sent=1)
    drain(shop, broker)
    assert len(shop.text.calls) == 50


def test_live_changes_overtake_a_backfill(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(6)), priority=Priority.BACKFILL)
    broker = ListBroker()
    round_of(shop, broker, max_open=2)
    shop.put(product(99))
    round_of(shop, broker, max_open=3)
    assert broker.take().product_ids == ("p99",)


def test_an_emptied_broker_loses_nothing(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(8)), priority=Priority.BACKFILL)
    broker = ListBroker()
    round_of(shop, broker)
    broker.flush()
    assert round_of(shop, broker) == FeedRound(), "not at once: the messages may just be on their way"
    shop.now += 31.0
    assert round_of(shop, broker) == FeedRound(sent_again=4)
    drain(shop, broker)
    assert sorted(shop.text.calls) == sorted(f"thing {i}" for i in range(8))


def test_a_long_queue_is_no_lost_queue(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(8)), priority=Priority.BACKFILL)
    broker = ListBroker()
    round_of(shop, broker)
    shop.now += 31.0
    assert round_of(shop, broker) == FeedRound()
    assert broker.waiting()[Priority.BACKFILL] == 4


def test_a_lost_live_chunk_is_sent_again_while_a_backfill_waits(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(4)), priority=Priority.BACKFILL)
    shop.put(product(99))
    broker = ListBroker()
    round_of(shop, broker)
    broker.queues[Priority.LIVE].clear()
    shop.now += 31.0
    assert round_of(shop, broker) == FeedRound(sent_again=1)
    assert broker.take().product_ids == ("p99",)


def test_a_send_that_fails_is_made_up_for(shop: Shop) -> None:
    shop.put(product(1))
    broker = ListBroker(broken=True)
    with pytest.raises(ConnectionError):
        round_of(shop, broker)
    broker.broken = False
    shop.now += 31.0
    assert round_of(shop, broker) == FeedRound(sent_again=1)


def test_products_of_a_dead_worker_come_alone(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(4)), priority=Priority.BACKFILL)
    broker = ListBroker()
    round_of(shop, broker, size=4)
    assert shop.engine.start_chunk(broker.take().id) is not None
    shop.now += 13.0
    assert round_of(shop, broker, size=4) == FeedRound(given_up=1, sent=4)
    assert {len(chunk.product_ids) for chunk in broker.queues[Priority.BACKFILL]} == {1}


def test_a_product_that_kills_every_worker_fails_after_three_and_its_neighbours_do_not(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(4)), priority=Priority.BACKFILL)
    broker = ListBroker()
    for _ in range(20):
        round_of(shop, broker, size=4)
        if not any(broker.waiting().values()):
            break
        chunk = broker.take()
        if "p2" in chunk.product_ids:
            shop.engine.start_chunk(chunk.id)
            shop.now += 13.0  # died
        else:
            shop.embed(chunk.id)
    assert shop.ledger("p2")["text_1"][:2] == ("failed", 3)
    assert "worker_died" in str(shop.ledger("p2")["text_1"][2])
    assert [shop.ledger(f"p{i}")["text_1"][0] for i in (0, 1, 3)] == ["ready"] * 3


def test_what_was_lost_among_others_is_sent_as_soon_as_they_are_done(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(4)), priority=Priority.BACKFILL)
    shop.put(product(98), product(99))
    broker = ListBroker()
    round_of(shop, broker, size=1, max_open=6)
    broker.queues[Priority.BACKFILL].pop(0)
    shop.now += 31.0
    assert round_of(shop, broker, max_open=6) == FeedRound()
    while any(broker.waiting().values()):
        shop.embed(broker.take().id)
    assert round_of(shop, broker, max_open=6) == FeedRound(sent_again=1), "looking did not make its wait begin anew"


def test_a_throttled_backfill_waits_and_live_changes_do_not(shop: Shop) -> None:
    broker = ListBroker(allowed=3)
    shop.put(*(product(i) for i in range(10)), priority=Priority.BACKFILL)
    shop.put(*(product(i) for i in range(10, 16)))

    def throttled() -> list[tuple[Priority, int]]:
        feed(
            shop.engine,
            broker,
            lambda: shop.engine.status().queue,
            max_open=99,
            chunk_size=4,
            chunk_silence=12.0,
            queue_silence=30.0,
            backfill_per_second=20.0,
        )
        sent = [(priority, len(chunk.product_ids)) for priority, chunks in broker.queues.items() for chunk in chunks]
        broker.flush()
        return sent

    assert throttled() == [(Priority.LIVE, 4), (Priority.LIVE, 2), (Priority.BACKFILL, 3)]
    broker.allowed = 0
    assert throttled() == []
    assert broker.asked == [20.0, 20.0]
    assert [len(chunk.product_ids) for chunk in shop.engine.open_chunks(at_most=99, size=9)] == [7]
