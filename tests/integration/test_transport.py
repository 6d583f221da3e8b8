"""The transports of both products against small real HTTP servers that refuse, stall, sign and encrypt as they are told."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.reaching import RetryingTransport, access
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.engines.opensearch.transport import OpenSearchTransport
from hybrid_search.errors import EngineUnavailable, HybridSearchError, SettingsError

TRANSPORTS: dict[ProductName, type[OpenSearchTransport] | type[ElasticsearchTransport]] = {
    "opensearch": OpenSearchTransport,
    "elasticsearch": ElasticsearchTransport,
}
both = pytest.mark.parametrize("product", list(TRANSPORTS))
Answer = tuple[int, Any]


@dataclass
class Asked:
    """What a server was asked."""

    lines: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)


@contextmanager
def serving(answer: Callable[[int], Answer], context: ssl.SSLContext | None = None) -> Iterator[tuple[str, Asked]]:
    """A server on a free port that gives ``answer(number of the request)``."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            asked.connections.add(self.client_address[1])
            asked.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            asked.lines.append(f"{self.command} {self.path}")
            asked.headers.append({name.lower(): value for name, value in self.headers.items()})
            asked.times.append(time.monotonic())
            status, body = answer(len(asked.lines))
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (
                ("content-type", "application/json"),
                ("x-elastic-product", "Elasticsearch"),
                ("content-length", str(len(sent))),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_DELETE = reply

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None: ...  # refused handshakes

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def reaching(product: ProductName, urls: str, **options: Any) -> Iterator[RetryingTransport]:
    transport = TRANSPORTS[product](access(product, urls, **options))
    try:
        yield transport
    finally:
        transport.close()


def error(kind: str, reason: str, **more: Any) -> dict[str, Any]:
    """An error body as servers write it."""
    return {"error": {"root_cause": [{"type": kind, "reason": reason, **more}], "type": "search_phase_execution_exception"}, "status": 0}


def closed_port() -> str:
    with serving(lambda _: (200, {})) as (url, _):
        return url


@both
def test_a_request_and_its_answer(product: ProductName) -> None:
    with serving(lambda _: (200, {"a": [1, 2.5, "é"]})) as (url, asked), reaching(product, url) as transport:
        assert transport.request("POST", "/x/_search", {"q": "红"}, params={"size": "1"}).body == {"a": [1, 2.5, "é"]}
        assert asked.lines == ["POST /x/_search?size=1"]
        assert json.loads(asked.bodies[0]) == {"q": "红"}
        transport.request("POST", "/_bulk", b'{"index":{}}\n{}\n')
        assert asked.bodies[1] == b'{"index":{}}\n{}\n'


@both
def test_a_server_that_is_not_there_is_told_with_its_address(product: ProductName, caplog: pytest.LogCaptureFixture) -> None:
    url = closed_port()
    with reaching(product, url, user="u", password="secret") as transport, pytest.raises(EngineUnavailable) as caught:
        transport.request("GET", "/", timeout=0.3)
    assert url in str(caught.value) and f"{product}_url" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not [record for record in caplog.records if record.levelno < logging.ERROR or record.exc_info], "clients log no tracebacks"


@both
def test_an_overloaded_server_is_asked_again_with_growing_pauses(product: ProductName) -> None:
    busy = error("rejected_execution_exception", "queue full")
    with serving(lambda number: (429, busy) if number < 4 else (200, {"ok": True})) as (url, asked), reaching(product, url) as transport:
        assert transport.request("GET", "/x").body == {"ok": True}
        assert len(asked.lines) == 4
    with serving(lambda _: (429, busy)) as (url, asked), reaching(product, url) as transport:
        began = time.monotonic()
        with pytest.raises(EngineUnavailable, match="overloaded.*queue full"):
            transport.request("GET", "/x", timeout=0.5)
        assert time.monotonic() - began < 1.0
        assert 2 <= len(asked.lines) < 40


@both
def test_pauses_are_jittered(product: ProductName) -> None:
    def first_pause() -> float:
        with serving(lambda number: (503, {}) if number == 1 else (200, {})) as (url, asked), reaching(product, url) as transport:
            transport.request("GET", "/x")
        return asked.times[1] - asked.times[0]

    pauses = [first_pause() for _ in range(6)]
    assert max(pauses) - min(pauses) > 0.005


@both
def test_a_full_disk_is_told_at_once(product: ProductName) -> None:
    full = error(
        "cluster_block_exception",
        "index [x] blocked by: [disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];",
    )
    with serving(lambda _: (429, full)) as (url, asked), reaching(product, url) as transport:
        with pytest.raises(HybridSearchError, match=r"index \[x\] blocked.*[Ff]ree space"):
            transport.request("PUT", "/x/_doc/1", {})
        assert len(asked.lines) == 1


@both
def test_other_errors_carry_the_servers_reason(product: ProductName) -> None:
    told = error("mapper_parsing_exception", "failed to parse field [price]", index="shop-000001")
    with serving(lambda _: (400, told)) as (url, asked), reaching(product, url) as transport:
        with pytest.raises(ServerError, match=r"shop-000001: failed to parse field \[price\]") as caught:
            transport.request("PUT", "/shop/_doc/1", {})
        assert (caught.value.status, caught.value.reason) == (400, "mapper_parsing_exception")
        assert transport.request("PUT", "/shop/_doc/1", {}, ignore=(400,)).status == 400
        assert len(asked.lines) == 2


@both
def test_a_refused_sign_in_names_its_settings(product: ProductName) -> None:
    with serving(lambda number: (401 if number == 1 else 403, b"")) as (url, asked), reaching(product, url, user="u") as transport:
        with pytest.raises(EngineUnavailable, match="server_user"):
            transport.request("GET", "/")
        with pytest.raises(EngineUnavailable, match="rights"):
            transport.request("GET", "/")
        assert len(asked.lines) == 2


@both
def test_a_stalled_server_is_left_after_the_time_out(product: ProductName) -> None:
    over = threading.Event()

    def stall(_: int) -> Answer:
        over.wait(10)
        return 200, {}

    with serving(stall) as (url, _), reaching(product, url) as transport:
        began = time.monotonic()
        with pytest.raises(EngineUnavailable, match="in time"):
            transport.request("GET", "/x", timeout=0.3)
        assert time.monotonic() - began < 2.0
        over.set()


@both
def test_ways_to_sign_in(product: ProductName) -> None:
    with serving(lambda _: (200, {})) as (url, asked):
        with reaching(product, url.replace("://", "://ann:p%40ss@")) as transport:
            transport.request("GET", "/")
            assert "ann" not in transport.url
        with reaching(product, url, api_key="aWQ6a2V5") as transport:
            transport.request("GET", "/")
    assert asked.headers[0]["authorization"] == "Basic " + base64.b64encode(b"ann:p@ss").decode()
    assert asked.headers[1]["authorization"] == "ApiKey aWQ6a2V5"


def test_requests_to_amazon_are_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    with serving(lambda _: (200, {})) as (url, asked), reaching("opensearch", url, sigv4_region="eu-west-1") as transport:
        transport.request("POST", "/_bulk", b"{}\n")
    assert asked.headers[0]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/es/aws4_request" in asked.headers[0]["authorization"]


def test_signing_without_credentials_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        OpenSearchTransport(access("opensearch", "http://127.0.0.1:1", sigv4_region="eu-west-1"))


@both
def test_certificates(product: ProductName, tmp_path: Path) -> None:
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(lambda _: (200, {"ok": 1}), context) as (url, _):
        with reaching(product, url, ca=ca) as transport:
            assert transport.request("GET", "/").body == {"ok": 1}
        with reaching(product, url, verify=False) as transport:
            assert transport.request("GET", "/").body == {"ok": 1}
        with reaching(product, url) as transport, pytest.raises(EngineUnavailable, match="server_ca"):
            transport.request("GET", "/", timeout=5.0)
        with reaching(product, url.replace("https", "http")) as transport, pytest.raises(EngineUnavailable, match="https://"):
            transport.request("GET", "/", timeout=0.5)
    with (
        serving(lambda _: (200, {})) as (url, _),
        reaching(product, url.replace("http", "https")) as transport,
        pytest.raises(EngineUnavailable, match="with http://"),
    ):
        transport.request("GET", "/", timeout=5.0)
    with pytest.raises(SettingsError, match="none.pem"):
        access(product, "https://127.0.0.1", ca=tmp_path / "none.pem")


@both
def test_requests_are_compressed_when_asked_for(product: ProductName) -> None:
    with serving(lambda _: (200, {})) as (url, asked), reaching(product, url, compress=True) as transport:
        transport.request("POST", "/x/_search", {"q": "a" * 1000})
    assert asked.headers[0]["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(asked.bodies[0])) == {"q": "a" * 1000}


@both
def test_connections_are_kept_for_all_threads(product: ProductName) -> None:
    with serving(lambda _: (200, {})) as (url, asked), reaching(product, url, pool=8) as transport, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: transport.request("GET", "/x"), range(200)))
    assert len(asked.lines) == 200
    assert len(asked.connections) <= 8


@both
def test_another_node_answers_for_a_dead_one(product: ProductName) -> None:
    with serving(lambda _: (200, {"ok": 1})) as (url, asked), reaching(product, f"{closed_port()}, {url}") as transport:
        for _ in range(6):
            assert transport.request("GET", "/", timeout=5.0).ok
        assert len(asked.lines) == 6


@pytest.mark.parametrize("urls", ["", "127.0.0.1:9200", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_address(urls: str) -> None:
    with pytest.raises(SettingsError, match="opensearch_url|address"):
        access("opensearch", urls)


def greeting(number: str, **more: str) -> dict[str, Any]:
    return {"version": {"number": number, **more}}


@pytest.mark.parametrize(
    ("product", "answers", "message"),
    [
        ("opensearch", [greeting("9.4.3")], "Elasticsearch 9.4.3, not OpenSearch"),
        ("elasticsearch", [greeting("3.5.0", distribution="opensearch")], "OpenSearch 3.5.0, not Elasticsearch"),
        ("opensearch", [greeting("2.11.1", distribution="opensearch")], "too old. 2.19.0"),
        ("elasticsearch", [greeting("8.14.9")], "too old. 8.15.0"),
        ("opensearch", [{"hello": 1}], "no search server"),
        ("elasticsearch", [[1]], "no search server"),
        ("opensearch", [greeting("3.5.0", distribution="opensearch"), [{"component": "analysis-icu"}]], "lacks the k-NN plugin"),
    ],
)
def test_an_unfit_server_is_named_and_nothing_is_made(product: str, answers: list[Any], message: str) -> None:
    opening = open_opensearch if product == "opensearch" else open_elasticsearch
    with serving(lambda number: (200, answers[number - 1])) as (url, asked), pytest.raises(EngineUnavailable, match=message):
        opening(url)
    assert all(line.startswith("GET ") for line in asked.lines)


def test_no_client_is_imported_before_an_engine_is_opened() -> None:
    code = (
        "import sys, hybrid_search.engines.opensearch, hybrid_search.engines.elasticsearch;"
        "print([name for name in ('opensearchpy', 'elasticsearch', 'elastic_transport', 'boto3') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_missing_client_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elasticsearch", None)
    monkeypatch.delitem(sys.modules, "hybrid_search.engines.elasticsearch.transport")
    with pytest.raises(SettingsError, match=r"hybrid-search\[elasticsearch\]"):
        open_elasticsearch("http://127.0.0.1:1")
