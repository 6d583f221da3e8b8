"""``hybrid-search beat``: the scheduler as a process of its own, on a real Redis server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import redis

from hybrid_search.redis_server import RedisServer
from workers.app import FEED_QUEUE

COMMAND = [sys.executable, "-m", "hybrid_search", "beat"]


def waiting(connection: redis.Redis, at_least: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = int(connection.llen(FEED_QUEUE))
        if found >= at_least:
            return found
        time.sleep(0.1)
    return 0


def test_it_asks_for_rounds_of_the_feeder_again_and_again_and_stops_when_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, redis.Redis(unix_socket_path=str(server.socket)) as connection:
        environment = os.environ | {
            "REDIS_URL": server.url,
            "HYBRID_SEARCH_FEED_EVERY": "0.5",
            "HYBRID_SEARCH_HOME": str(tmp_path / "home"),
        }
        beat = subprocess.Popen(COMMAND, env=environment, cwd=tmp_path)
        try:
            assert waiting(connection, 2) >= 2
            assert b'"task": "feed"' in connection.lrange(FEED_QUEUE, 0, 0)[0]
        finally:
            beat.send_signal(signal.SIGTERM)
            code = beat.wait(30)
        assert code == 0
        assert not (tmp_path / "home").exists()


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    environment = os.environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(COMMAND, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "Redis cannot be reached" in done.stderr
