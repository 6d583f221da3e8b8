"""The Redis server of our own: real processes, no mocks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from hybrid_search.errors import SettingsError
from hybrid_search.redis_server import RedisServer


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket), decode_responses=True)


def test_it_keeps_its_writes_over_a_restart_and_evicts_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, client(server) as connection:
        assert connection.config_get("maxmemory-policy", "appendonly", "appendfsync") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }
        connection.set("kept", "1")
    assert not server.ping()
    with RedisServer(tmp_path / "redis") as server, client(server) as connection:
        assert connection.get("kept") == "1"


def test_its_socket_is_for_this_user_alone(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        assert server.socket.stat().st_mode & 0o077 == 0
        assert server.url == f"redis+socket://{server.socket}?virtual_host=0"


def test_a_folder_too_deep_for_a_socket_has_it_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    with RedisServer(deep) as server, client(server) as connection:
        assert len(os.fsencode(server.socket)) < 100
        assert connection.ping()
        first = server.socket
    with RedisServer(deep) as server:
        assert server.socket == first


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path), pytest.raises(SettingsError, match="Another process runs a Redis server in"):
        RedisServer(tmp_path).start()


def test_a_server_whose_owner_was_killed_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hybrid_search.redis_server import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    with RedisServer(tmp_path) as server:
        assert server.pid == int(owner.stdout)
    with pytest.raises(ProcessLookupError):
        os.kill(int(owner.stdout), 0)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used for a Redis server") as caught:
        RedisServer(tmp_path / "file").start()
    assert "REDIS_URL" in str(caught.value)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish\n")
    with pytest.raises(SettingsError, match="did not start: .*AOF manifest"):
        RedisServer(tmp_path).start()
    with pytest.raises(SettingsError, match="did not start"):
        RedisServer(tmp_path).start()
