"""The production server as a process: it starts, answers several at once, stops cleanly, and says plainly why it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from hybrid_search.api.server import bindable_port
from hybrid_search.errors import SettingsError


def start(home: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hybrid_search", "serve", "--home", str(home), "--port", str(port)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_it_serves_several_at_once_and_stops_on_request(tmp_path: Path) -> None:
    port = bindable_port("127.0.0.1", 0)
    process = start(tmp_path / "home", port)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/healthz", timeout=5)
                break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
        body = "".join(f'{{"id": "p{n}", "title": "Kettle {n}"}}\n' for n in range(500))
        made = httpx.post(f"{url}/v1/products?refresh=wait", content=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
        assert made.json()["written"] == 500
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda n: httpx.get(f"{url}/v1/search?q=kettle+{n}", timeout=60), range(48)))
        assert {reply.status_code for reply in replies} == {200}
        assert all(reply.json()["hits"][0]["id"] == f"p{n}" for n, reply in enumerate(replies))
    finally:
        process.send_signal(signal.SIGTERM)
    out = process.communicate(timeout=30)[0]
    assert process.returncode == 0, out
    assert "Traceback" not in out


def test_a_home_that_cannot_be_used_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    process = start(tmp_path / "file" / "home", bindable_port("127.0.0.1", 0))
    out = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "Traceback" not in out
    assert str(tmp_path / "file") in out and "HYBRID_SEARCH_HOME" in out


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            bindable_port("127.0.0.1", port)
    assert (caught.value.field, caught.value.value) == ("port", port)
