"""``/metrics``: real requests, and the very numbers that they leave."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from hybrid_search.api.metrics import EXTENSION, ServiceCounts
from hybrid_search.bootstrap import build
from hybrid_search.engines.base import Engine, EngineStatus
from hybrid_search.errors import EncoderError, EngineUnavailable
from hybrid_search.settings import load_settings
from hybrid_search.telemetry.logs import configure_logging
from hybrid_search.telemetry.metrics import SPECS
from tests.api.conftest import KEYS, Opener

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
ROUTE = "/v1/products/<path:product_id>"


def scrape(client: FlaskClient) -> Samples:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert reply.content_type.startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.get_data(as_text=True))
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"hybrid_search_{name}", frozenset(labels.items())), 0.0)


class Change:
    """How far each sample went up between two scrapes: the counters are the process's, shared by all tests."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self._before = scrape(client)

    def __call__(self, name: str, **labels: str) -> float:
        return value(scrape(self._client), name, **labels) - value(self._before, name, **labels)


def test_requests_are_counted_by_method_route_and_status(client: FlaskClient) -> None:
    change = Change(client)
    for number in range(3):
        client.put(f"/v1/products/p{number}", json={"title": "Blue kettle"})
    client.get("/v1/products/p1")
    client.get("/v1/products/unknown")
    client.get("/v1/products/also-unknown")
    client.get("/no/such/place")
    client.open("/no/such/place", method="BREW")
    assert change("http_requests_total", method="PUT", route=ROUTE, status="201") == 3
    assert change("http_requests_total", method="GET", route=ROUTE, status="200") == 1
    assert change("http_requests_total", method="GET", route=ROUTE, status="404") == 2
    assert change("http_requests_total", method="GET", route="(no route)", status="404") == 1
    assert change("http_requests_total", method="other", route="(no route)", status="404") == 1
    assert change("problems_total", kind="not-found") == 4
    assert change("http_request_duration_seconds_count", method="PUT", route=ROUTE, status="201") == 3
    assert 0 < change("http_request_duration_seconds_sum", method="PUT", route=ROUTE, status="201") < 30


def test_searches_are_counted_by_what_they_are_made_of_and_timed_by_leg(client: FlaskClient) -> None:
    client.put("/v1/products/p1?refresh=wait", json={"title": "Blue kettle"})
    change = Change(client)
    for words in ("kettle", "kettle", "blue"):
        assert client.get(f"/v1/search?q={words}").get_json()["degraded"] == []
    client.post("/v1/search", json={})
    assert change("searches_total", by="text") == 3
    assert change("searches_total", by="everything") == 1
    assert change("search_duration_seconds_count") == 4
    assert change("search_leg_duration_seconds_count", leg="bm25", stage="engine") == 3
    assert change("search_leg_duration_seconds_count", leg="text", stage="engine") == 3
    assert change("search_leg_duration_seconds_count", leg="text", stage="encode") == 3
    assert change("search_leg_duration_seconds_count", leg="all", stage="engine") == 1
    assert change("engine_request_duration_seconds_count", request="search") == 4
    assert change("query_vector_cache_total", result="miss") == 2
    assert change("query_vector_cache_total", result="hit") == 1
    assert change("searches_degraded_total") == 0


def test_legs_left_out_are_counted_with_the_reason(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    client = opened()
    client.put("/v1/products/p1?refresh=wait", json={"title": "Blue kettle"})
    encoder = next(iter(client.application.extensions["hybrid_search"].encoders.text.values()))

    def broken(texts: object) -> None:
        raise EncoderError("The model's file is gone.")

    monkeypatch.setattr(type(encoder), "encode_queries", lambda self, texts: broken(texts))
    change = Change(client)
    (degraded,) = client.get("/v1/search?q=kettle").get_json()["degraded"]
    assert degraded.startswith("text: ")
    assert change("search_legs_degraded_total", leg="text", reason="encoder") == 1
    assert change("searches_degraded_total") == 1


def test_the_engine_tells_its_counts_when_it_is_asked(opened: Opener) -> None:
    client = opened()
    body = "".join(json.dumps({"id": f"p{n}", "title": f"Kettle {n}"}) + "\n" for n in range(7))
    client.post("/v1/products?refresh=wait", data=body, content_type="application/x-ndjson")
    client.put("/v1/control", json={"fusion": "rrf"})
    services = client.application.extensions["hybrid_search"]
    assert len(services.engine.open_chunks(at_most=1, size=2)) == 1
    time.sleep(1.05)  # the control document is read once in a second
    samples = scrape(client)
    assert value(samples, "engine_up") == 1
    assert value(samples, "products") == 7
    assert value(samples, "embeddings", space="text_1", state="pending") == 7
    assert value(samples, "chunks", state="queued") == 1
    assert value(samples, "chunks", state="running") == 0
    assert value(samples, "oldest_queued_chunk_age_seconds") >= 1.0
    assert value(samples, "control_version") == 1
    assert value(samples, "control_readable") == 1
    assert value(samples, "changes", of="acknowledged") == services.engine.status().seq
    client.put("/v1/products/p8", json={"title": "Kettle 8"})
    assert value(scrape(client), "products") == 7, "an answer stands for a second"
    time.sleep(1.05)
    assert value(scrape(client), "products") == 8


class Away:
    """An engine of which nothing but its status matters: it fails, or hangs."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self.asked = 0

    def status(self) -> EngineStatus:
        self.asked += 1
        time.sleep(self._seconds)
        raise EngineUnavailable("The search server does not answer.")


@pytest.mark.parametrize("seconds", [0.0, 0.6])
def test_an_engine_that_is_away_costs_its_counts_and_not_the_scrape(tmp_path: Path, seconds: float) -> None:
    services = build(load_settings(home=tmp_path))
    away = Away(services.engine, seconds)
    object.__setattr__(services, "engine", away)
    counts = ServiceCounts(services, patience=0.2)
    for _ in range(3):
        started = time.perf_counter()
        samples = {sample.name: sample.value for family in counts.collect() for sample in family.samples}
        assert time.perf_counter() - started < 0.5
        assert samples["hybrid_search_engine_up"] == 0
        assert "hybrid_search_products" not in samples
        assert "hybrid_search_query_vector_cache_total" in samples
    assert away.asked == 1, "once in a second, and never twice at a time"
    object.__setattr__(services, "engine", away._engine)
    services.close()


def test_pictures_refused_and_thumbnails_kept_are_counted(opened: Opener, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), "teal").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture at all")
    client = opened(image_roots=str(tmp_path))
    images = [str(tmp_path / "good.png"), str(tmp_path / "bad.png")]
    client.put("/v1/products/p1", json={"title": "Blue kettle", "images": images})
    change = Change(client)
    good, bad = (f"/v1/products/p1/images/{number}" for number in (0, 1))
    assert [client.get(good).status_code, client.get(good).status_code] == [200, 200]
    assert client.get(bad).status_code >= 400
    assert change("thumbnail_cache_total", result="miss") == 2
    assert change("thumbnail_cache_total", result="hit") == 1
    assert change("image_refusals_total", reason="format") == 1


def test_it_needs_its_scope(opened: Opener) -> None:
    client = opened(api_keys=KEYS | {"metrics-key-0123456789": ["metrics"]})
    ask = {key: client.get("/metrics", headers={"X-API-Key": key}).status_code for key in (*KEYS, "metrics-key-0123456789")}
    assert ask == {"search-key-0123456789": 403, "write-key-0123456789": 403, "admin-key-0123456789": 200, "metrics-key-0123456789": 200}
    assert client.get("/metrics").status_code == 401
    assert client.get("/v1/search?q=a", headers={"Authorization": "Bearer metrics-key-0123456789"}).status_code == 403


def test_it_can_be_switched_off(opened: Opener) -> None:
    client = opened(metrics=False)
    assert client.get("/metrics").status_code == 404
    assert EXTENSION not in client.application.extensions


def test_what_is_shown_is_what_is_documented(client: FlaskClient) -> None:
    client.get("/v1/search?q=kettle")
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").get_data(as_text=True))}
    ours = {name: family for name, family in families.items() if not name.startswith("process_")}
    assert set(ours) == {name for name, spec in SPECS.items() if "api" in spec.places}
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    for name, family in ours.items():
        assert (family.type, family.documentation) == (SPECS[name].kind, SPECS[name].meaning)
        assert f"| `{SPECS[name].shown_name}` | {family.type} |" in page
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(SPECS[name].labels)


def test_openmetrics_is_spoken_to_whom_asks_for_it(client: FlaskClient) -> None:
    reply = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.content_type.startswith("application/openmetrics-text")
    assert reply.get_data(as_text=True).endswith("# EOF\n")


@pytest.fixture
def plain_root() -> Iterator[None]:
    """The root logger is put back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_one_access_line_per_request_tells_the_search_and_not_its_words(
    opened: Opener, plain_root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    client = opened()
    client.put("/v1/products/p1?refresh=wait", json={"title": "Blue kettle"})
    configure_logging(load_settings(log_format="json"))
    found = client.get("/v1/search?q=private+words", headers={"X-Request-ID": "caller-7"}).get_json()
    client.get("/v1/products/unknown-id")
    out = capsys.readouterr().err
    said, after = [line for line in map(json.loads, out.splitlines()) if line["logger"] == "hybrid_search.access"]
    assert 0 < said.pop("duration_ms") < 10_000
    assert {key: said[key] for key in ("request_id", "query_id", "method", "route", "status", "degraded", "level")} == {
        "request_id": "caller-7",
        "query_id": found["query_id"],
        "method": "GET",
        "route": "/v1/search",
        "status": 200,
        "degraded": [],
        "level": "info",
    }
    assert (after["status"], "query_id" in after) == (404, False)
    assert "private" not in out and "unknown-id" not in out
