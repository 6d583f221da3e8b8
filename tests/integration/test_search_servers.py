"""Real OpenSearch and Elasticsearch servers: they start, survive what happens to servers, and leave nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hybrid_search.errors import EngineUnavailable
from hybrid_search.search_server import SearchServer, start_node
from hybrid_search.search_server import node as node_module

ROOT = Path(__file__).resolve().parents[2]


def ask(url: str, method: str, path: str, body: dict[str, Any] | None = None, *, seconds: float = 30) -> dict[str, Any]:
    """The server's JSON reply. Raises ``OSError`` when none comes in time."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        reply: dict[str, Any] = json.loads(connection.getresponse().read())
        return reply
    finally:
        connection.close()


def eventually(true: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def answers(port: int) -> bool:
    """Whether anybody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_opensearch_has_vectors_scripts_and_snapshots(opensearch_url: str) -> None:
    try:
        field = {"type": "knn_vector", "dimension": 2, "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}}
        made = ask(
            opensearch_url,
            "PUT",
            "/servers-probe",
            {"settings": {"index.knn": True}, "mappings": {"properties": {"v": field, "r": {"type": "rank_feature"}}}},
        )
        assert made.get("acknowledged"), made
        ask(opensearch_url, "PUT", "/servers-probe/_doc/1?refresh=true", {"v": [0.6, 0.8], "r": 1})
        found = ask(opensearch_url, "POST", "/servers-probe/_search", {"query": {"knn": {"v": {"vector": [0.6, 0.8], "k": 1}}}})
        assert found["hits"]["hits"][0]["_score"] == pytest.approx(1.0)
        changed = ask(opensearch_url, "POST", "/servers-probe/_update/1", {"script": {"source": "ctx._source.r = 2"}})
        assert changed["result"] == "updated"
    finally:
        ask(opensearch_url, "DELETE", "/servers-probe")


def test_elasticsearch_has_vectors_and_scripts(elasticsearch_url: str) -> None:
    try:
        field = {"type": "dense_vector", "dims": 2, "similarity": "cosine", "index_options": {"type": "hnsw"}}
        made = ask(elasticsearch_url, "PUT", "/servers-probe", {"mappings": {"properties": {"v": field}}})
        assert made.get("acknowledged"), made
        ask(elasticsearch_url, "PUT", "/servers-probe/_doc/1?refresh=true", {"v": [0.6, 0.8]})
        knn = {"field": "v", "query_vector": [0.6, 0.8], "k": 1, "num_candidates": 10}
        found = ask(elasticsearch_url, "POST", "/servers-probe/_search", {"knn": knn})
        assert found["hits"]["hits"][0]["_score"] == pytest.approx(1.0)
        changed = ask(
            elasticsearch_url, "POST", "/servers-probe/_update_by_query?refresh=true", {"script": {"source": "ctx._source.n = 2"}}
        )
        assert changed["updated"] == 1
    finally:
        ask(elasticsearch_url, "DELETE", "/servers-probe")


@pytest.mark.engine("elasticsearch")
@pytest.mark.slow
def test_a_node_is_paused_killed_and_started_on_its_data() -> None:
    with start_node("elasticsearch") as server:
        assert ask(server.url, "PUT", "/kept/_doc/1?refresh=true", {"a": 1})["result"] == "created"

        server.pause()
        with pytest.raises(TimeoutError):
            ask(server.url, "GET", "/", seconds=0.5)
        server.resume()
        assert ask(server.url, "GET", "/kept/_doc/1")["found"]

        before = server.pid
        server.kill()
        assert not runs(before)
        assert not answers(server.plan.http_port)
        server.start()
        assert server.pid != before
        assert ask(server.url, "GET", "/kept/_doc/1")["_source"] == {"a": 1}
    assert not answers(server.plan.http_port)
    assert not server.plan.scrap.exists()


@pytest.mark.engine("elasticsearch")
@pytest.mark.slow
def test_a_node_whose_owner_is_killed_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import json, sys, time\n"
        "from hybrid_search.search_server import start_node\n"
        "server = start_node('elasticsearch')\n"
        "print(json.dumps([server.pid, server.guard_pid, server.plan.http_port, str(server.plan.scrap)]), flush=True)\n"
        "time.sleep(600)\n"
    )
    with (tmp_path / "stderr").open("w") as stderr:
        owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT)
    assert owner.stdout is not None
    with owner.stdout as told:
        line = told.readline()
    assert line, (tmp_path / "stderr").read_text()
    server, guard, port, folder = json.loads(line)
    assert answers(port)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert eventually(lambda: not runs(server) and not runs(guard), 10)
    assert not answers(port)
    assert not Path(folder).exists()


@pytest.mark.engine("elasticsearch")
def test_a_node_that_does_not_start_says_why() -> None:
    with pytest.raises(EngineUnavailable, match=r"(?s)ended with status 1; the end of its log.*nonsense\.setting.*ELASTICSEARCH_URL"):
        start_node("elasticsearch", settings={"nonsense.setting": "1"})


@pytest.mark.engine("elasticsearch")
def test_a_node_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "START_SECONDS", 0.5)
    seen: list[SearchServer] = []
    started = SearchServer.launch

    def launch(self: SearchServer) -> None:
        started(self)
        seen.append(self)

    monkeypatch.setattr(SearchServer, "launch", launch)
    with pytest.raises(EngineUnavailable, match=r"did not answer within"):
        start_node("elasticsearch")
    assert seen[0].pid == 0
    assert not seen[0].plan.scrap.exists()


SHARED = """
import os, pytest

@pytest.mark.parametrize("number", range(4))
def test_uses(elasticsearch_url, number):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(elasticsearch_url + chr(10))
"""


@pytest.mark.engine("elasticsearch")
@pytest.mark.slow
def test_a_session_of_two_processes_shares_one_server_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "test_shared.py").write_text(SHARED)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p tests.servers -p no:cacheprovider\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and not name.endswith("SEARCH_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n2", "--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini"), str(tmp_path)],
        cwd=ROOT,
        env=environment | {"SEEN": str(tmp_path / "seen")},
        capture_output=True,
        text=True,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    urls = (tmp_path / "seen").read_text().split()
    assert len(urls) == 4
    assert len(set(urls)) == 1
    assert eventually(lambda: not answers(urlsplit(urls[0]).port or 0), 10)
