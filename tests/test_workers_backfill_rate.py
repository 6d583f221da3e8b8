"""How fast a throttled backfill is fed, on a real Redis that all feeders share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from hybrid_search.redis_server import RedisServer
from hybrid_search.settings import load_settings
from workers.app import ALLOWANCE_KEY, BURST_SECONDS, FEEDING_KEY, FEEDING_SECONDS, CeleryBroker, create_app


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as made:
        yield made


def broker(server: RedisServer) -> CeleryBroker:
    return CeleryBroker(create_app(load_settings(redis_url=server.url)))


def test_two_feeders_together_keep_to_the_rate(server: RedisServer) -> None:
    one, other = broker(server), broker(server)
    burst = one.backfill_allowance(100.0)
    started = time.monotonic()
    assert burst == 100 * BURST_SECONDS
    fed = 0
    while time.monotonic() - started < 1.0:
        fed += one.backfill_allowance(100.0) + other.backfill_allowance(100.0)
        time.sleep(0.01)
    seconds = time.monotonic() - started
    assert 100 * (seconds - 0.2) <= fed <= 100 * seconds + 1


def test_a_slow_rate_is_kept_too_and_a_pause_is_made_up_for_in_part_only(server: RedisServer) -> None:
    feeder = broker(server)
    assert feeder.backfill_allowance(0.1) == 1
    assert [feeder.backfill_allowance(0.1) for _ in range(5)] == [0] * 5
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.set(ALLOWANCE_KEY, time.time() - 3_000)
        assert feeder.backfill_allowance(50.0) == 100
        client.set(ALLOWANCE_KEY, time.time() + 3_000)  # a clock that was set back
        assert feeder.backfill_allowance(50.0) == 100
        client.flushall()
        assert feeder.backfill_allowance(50.0) == 100, "an emptied Redis allows one burst more"


def test_one_feeder_at_a_time_and_rounds_take_a_third_of_the_time_at_most(server: RedisServer) -> None:
    one, other = broker(server), broker(server)
    with one.turn() as first, other.turn() as second:
        assert (first, second) == (True, False)
        time.sleep(0.2)
    ended = time.monotonic()
    turns = 0
    while turns == 0:
        with other.turn() as mine:
            turns += mine
        time.sleep(0.01)
    assert 0.35 < time.monotonic() - ended < 1.5


def test_a_feeder_that_failed_lets_the_others_go_on(server: RedisServer) -> None:
    one, other = broker(server), broker(server)
    with pytest.raises(KeyError), one.turn():
        raise KeyError
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        assert 0 < client.pttl(FEEDING_KEY) <= 1_000 * FEEDING_SECONDS
        client.delete(FEEDING_KEY)
    with other.turn() as mine:
        assert mine
