"""A real worker with its real models: what its ``/metrics`` counts, what its log lines say, and the trace that a write began."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from prometheus_client.parser import text_string_to_metric_families

from hybrid_search.api import create_app
from hybrid_search.api.server import bindable_port
from hybrid_search.bootstrap import build
from hybrid_search.redis_server import RedisServer
from hybrid_search.settings import Settings, load_settings
from hybrid_search.telemetry.metrics import SPECS
from hybrid_search.telemetry.traces import start_tracing, stop_tracing
from hybrid_search.types import State
from tests.integration.own_group import own_group
from workers.app import feed_requester

pytestmark = pytest.mark.slow

Spans = dict[str, tuple[str, str, str]]
"""Name to service, trace id and parent's name (empty for none)."""


class Collector:
    """An OTLP/HTTP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self._spans: list[tuple[str, str, bytes, bytes, bytes]] = []
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    raise AssertionError("not asked for")
                collector.keep(ExportTraceServiceRequest.FromString(body))
                reply = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keep(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                self._spans += [(span.name, service, span.trace_id, span.span_id, span.parent_span_id) for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> Spans:
        names = {span_id: name for name, _, _, span_id, _ in self._spans}
        return {name: (service, trace.hex(), names.get(parent, "")) for name, service, trace, _, parent in self._spans}


@contextmanager
def worker(settings: Settings, port: int, log: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "HYBRID_SEARCH_HOME": str(settings.home),
        "REDIS_URL": settings.redis_url,
        "HYBRID_SEARCH_TEXT_ENCODER": settings.text_encoder,
        "HYBRID_SEARCH_WORKER_METRICS_PORT": str(port),
        "HYBRID_SEARCH_LOG_FORMAT": "json",
        "OMP_NUM_THREADS": "1",
    }
    with own_group("hybrid_search", ["worker", "--processes", "2", *options], environment | variables, log) as process:
        yield process


def wait(condition: Callable[[], bool], what: str, log: Path, seconds: float = 90.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}\n{log.read_text(errors='replace')[-3_000:]}"
        time.sleep(0.05)


def scrape(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and label values; empty while nobody answers."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return {}
    families = list(text_string_to_metric_families(text))
    assert {family.name for family in families} <= {name for name, spec in SPECS.items() if "worker" in spec.places}
    return {
        (sample.name.removeprefix("hybrid_search_"), tuple(sample.labels.values())): sample.value for f in families for sample in f.samples
    }


def test_the_counts_of_all_children_are_added_up_and_outlive_them(tmp_path: Path) -> None:
    log, port = tmp_path / "worker.log", bindable_port("127.0.0.1", 0)
    left = tmp_path / "home" / "metrics" / "gone-1"
    left.mkdir(parents=True)
    left.with_suffix(".lock").touch()
    with RedisServer(tmp_path / "redis") as redis:
        settings = load_settings(home=tmp_path / "home", redis_url=redis.url, text_encoder="offline-use")
        services = build(settings)
        client = create_app(services).test_client()
        body = "".join(json.dumps({"id": f"p{n}", "title": f"Kettle {n}"}) + "\n" for n in range(150))
        assert client.post("/v1/products", data=body, content_type="application/x-ndjson").get_json()["written"] == 150
        broken = {"title": "Broken", "images": ["data:image/png;base64,bm8="]}
        client.put("/v1/products/broken", json=broken)
        with worker(settings, port, log, "--beat") as process:
            wait(lambda: services.engine.status().states["text_1"].get(State.READY, 0) == 151, "vectors", log)
            wait(lambda: bool(services.engine.failures()), "the broken picture", log)
            wait(lambda: not any((services.engine.status().queue.queued, services.engine.status().queue.running)), "the end", log)
            wait(lambda: scrape(port)["chunks_worked_total", ("done",)] == scrape(port)["feeder_chunks_total", ("sent",)], "counts", log)
            samples = scrape(port)
            assert samples["embedded_products_total", ("text_1",)] == 151
            assert samples["tower_output_cache_total", ("miss",)] >= 151
            assert samples["image_refusals_total", ("format",)] >= 1
            assert samples["embedding_failures_total", ("image_1",)] >= 1
            assert samples["chunk_duration_seconds_count", ()] == samples["chunks_worked_total", ("done",)] >= 3
            assert not left.exists() and not left.with_suffix(".lock").exists(), "what a worker that is gone has left is removed"

            before = samples["embedded_products_total", ("text_1",)]
            pool = [pid for pid in children(process.pid) if pid != scheduler(log)]
            assert len(pool) == 2
            for pid in pool:
                os.kill(pid, signal.SIGKILL)
            (own,) = (path for path in left.parent.iterdir() if path.is_dir())
            (own / "counter_1.db").touch()  # as a child leaves it that is killed while it opens it
            client.put("/v1/products/late", json={"title": "Late kettle"})
            wait(lambda: scrape(port).get(("embedded_products_total", ("text_1",)), 0) == before + 1, "a chunk of a new child", log)
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(30) == 0
        services.close()
    assert not [path for path in (tmp_path / "home" / "metrics").iterdir() if path.is_dir()], "nothing stays"
    written = log.read_text().replace("\nworker: Warm shutdown (MainProcess)\n", "")  # Celery's signal handler writes it as it is
    lines = [json.loads(line) for line in written.splitlines()]
    assert sum("exited with 'signal 9 (SIGKILL)'" in line["event"] for line in lines) == 2
    chunks = [line for line in lines if line["logger"] == "workers.tasks" and line.get("outcome") == "done"]
    assert sum(line["written"] for line in chunks) >= 152
    assert {line["products"] for line in chunks} >= {64}
    assert all(line["chunk"] and 0 < line["seconds"] < 60 and line["event"].startswith(f"chunk {line['chunk']}: ") for line in chunks)
    assert "Kettle" not in log.read_text()


def children(pid: int) -> list[int]:
    return [int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()]


def scheduler(log: Path) -> int:
    line = next(line for line in log.read_text().splitlines() if "the scheduler is process" in line)
    return int(json.loads(line)["event"].rsplit(" ", 1)[1])


def test_a_write_and_its_chunk_are_one_trace(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    collector = Collector()
    with RedisServer(tmp_path / "redis") as redis:
        settings = load_settings(home=tmp_path / "home", redis_url=redis.url, text_encoder="offline-use", otel_endpoint=collector.url)
        start_tracing(settings, "hybrid-search-api")
        services = build(settings, request_feed=feed_requester(settings))
        client = create_app(services).test_client()
        # Without a scheduler the write's own request is the one that has its product embedded.
        with worker(settings, 0, log, HYBRID_SEARCH_OTEL_ENDPOINT=collector.url) as process:
            caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            assert client.put("/v1/products/p1", json={"title": "Kettle"}, headers={"traceparent": caller}).status_code == 201
            wait(lambda: services.engine.status().states["text_1"].get(State.READY, 0) == 1, "vectors", log)
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(30) == 0
        stop_tracing()
        services.close()
    spans = collector.spans()
    collector.close()
    api, work, trace = "hybrid-search-api", "hybrid-search-worker", "0af7651916cd43dd8448eb211c80319c"
    assert spans == {
        "PUT /v1/products/<path:product_id>": (api, trace, ""),
        "send feed": (api, trace, "PUT /v1/products/<path:product_id>"),
        "run/feed": (work, trace, "send feed"),
        "apply_async/embed_chunk": (work, trace, "run/feed"),
        "run/embed_chunk": (work, trace, "apply_async/embed_chunk"),
        "embed": (work, trace, "run/embed_chunk"),
    }, log.read_text()[-2_000:]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        collector = Collector()
        settings = load_settings(home=tmp_path / "home", redis_url=redis.url)
        port = int(collector.url.rsplit(":", 1)[1])
        log = tmp_path / "worker.log"
        with worker(settings, port, log) as process:
            assert process.wait(60) == 2
        collector.close()
    assert f"worker_metrics_port = {port} on 127.0.0.1 cannot be served on" in log.read_text()
    assert "Traceback" not in log.read_text()
