"""Log lines and traces: what is in them, what must not be, and what is not even imported."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hybrid_search.api import create_app
from hybrid_search.bootstrap import build
from hybrid_search.errors import SettingsError
from hybrid_search.settings import Settings, load_settings
from hybrid_search.telemetry.logs import configure_logging, forget_notes, note, secrets_of
from hybrid_search.telemetry.metrics import SPECS
from hybrid_search.telemetry.shared_files import sharing_counts
from hybrid_search.telemetry.traces import carried_context, require_tracing, span, start_tracing, stop_tracing

SECRET = "p4ss+word-of-the-server"
KEY = "a-key-of-the-shop-0123456789"


@pytest.fixture
def plain_root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    forget_notes()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_lines_carry_what_was_noted_and_what_was_said(plain_root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(load_settings(log_format="json"))
    note(request_id="r1")
    logging.getLogger("shop").warning("%d of %d, größer", 3, 4, extra={"chunk": "c1"})
    forget_notes()
    logging.getLogger("shop").debug("too fine")
    logging.getLogger("shop").info("plain")
    first, second = lines(capsys)
    assert abs(datetime.fromisoformat(str(first["timestamp"])).timestamp() - time.time()) < 60
    assert {k: first[k] for k in ("event", "level", "logger", "chunk", "request_id")} == {
        "event": "3 of 4, größer",
        "level": "warning",
        "logger": "shop",
        "chunk": "c1",
        "request_id": "r1",
    }
    assert "request_id" not in second


def test_a_second_call_replaces_the_first(plain_root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(load_settings(log_format="json"))
    configure_logging(load_settings(log_level="warning"))
    logging.getLogger("shop").warning("once")
    logging.getLogger("shop").info("never")
    out = capsys.readouterr().err
    assert out.count("once") == 1
    assert out.endswith(" WARNING shop: once\n")
    assert "never" not in out


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_of_the_settings_is_written(form: str, plain_root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(
        log_format=form,
        server_password=SECRET,
        server_api_key="base64-of-id-and-key",
        api_keys={KEY: ["search"]},
        redis_url="redis://:broker%2Fpassword@127.0.0.1:6379/0",
    )
    secrets = (SECRET, "base64-of-id-and-key", KEY, "broker%2Fpassword", "broker/password")
    assert set(secrets_of(settings)) == set(secrets)
    configure_logging(settings)
    try:
        raise ValueError(f"could not sign in with {SECRET}")
    except ValueError:
        logging.getLogger("shop").exception("for %s", settings.redis_url, extra={"key": KEY, "others": secrets})
    out = capsys.readouterr().err
    assert "could not sign in with ***" in out, "the traceback is written, without the secret"
    assert not [secret for secret in secrets if secret in out]


def test_nothing_of_opentelemetry_is_imported_unless_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from hybrid_search.api import create_app\n"
        "from hybrid_search.bootstrap import build\n"
        "from hybrid_search.settings import load_settings\n"
        "import workers.running, workers.tasks\n"
        "from hybrid_search.telemetry.traces import start_tracing\n"
        f"settings = load_settings(home={str(tmp_path)!r})\n"
        "start_tracing(settings, 'x')\n"
        "services = build(settings)\n"
        "print(create_app(services).test_client().post('/v1/search', json={}).status_code)\n"
        "services.close()\n"
        # redis takes the metrics of the SDK where it is installed, whatever we do
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.instrumentation')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["200", "[]"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.flask", None)
    with pytest.raises(SettingsError) as caught:
        require_tracing(load_settings(otel_endpoint="http://127.0.0.1:4318"))
    assert caught.value.field == "otel_endpoint"
    assert "pip install 'hybrid-search[otel]'" in str(caught.value)
    require_tracing(load_settings())


def test_there_are_no_spans_without_tracing() -> None:
    with span("search") as nothing:
        assert nothing is None
        assert carried_context() == {}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    start_tracing(load_settings(), "test", exporter=exporter)
    yield exporter
    stop_tracing()


def test_one_search_is_one_tree_of_spans(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    services = build(load_settings(home=tmp_path))
    client = create_app(services).test_client()
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert client.put("/v1/products/secret-id?refresh=wait", json={"title": "Blue kettle"}).status_code == 201
    spans.clear()
    found = client.get("/v1/search?q=private+kettle", headers={"traceparent": caller})
    assert found.get_json()["total"] == 1
    assert client.get("/metrics").status_code == 200, "and leaves no span"
    services.close()
    finished = {one.name: one for one in spans.get_finished_spans()}
    assert parents(finished) == {
        "GET /v1/search": None,
        "search": "GET /v1/search",
        "encode text": "search",
        "engine search": "search",
        "engine fetch": "search",
    }
    context = finished["search"].context
    assert context is not None
    assert f"{context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c", "the caller's trace is continued"
    assert finished["engine search"].attributes == {"legs": ("bm25", "text")}
    written = " ".join(one.to_json() for one in finished.values())
    assert "private" not in written and "secret-id" not in written


def parents(finished: dict[str, ReadableSpan]) -> dict[str, str | None]:
    names = {one.context.span_id: one.name for one in finished.values() if one.context}
    return {one.name: names.get(one.parent.span_id) if one.parent else None for one in finished.values()}


def test_every_metric_is_named_by_the_rules() -> None:
    for name, spec in SPECS.items():
        assert name.startswith("hybrid_search_") and spec.meaning.endswith(".")
        assert (spec.kind == "histogram") <= name.endswith("_duration_seconds")
        assert name.endswith("_seconds") == (spec.unit == "seconds")
        assert not name.endswith("_total"), "the ending is the format's"


def test_counting_in_files_after_counting_began_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="worker_metrics_port"), sharing_counts(tmp_path):
        raise AssertionError("not reached")


def test_settings_refuse_an_endpoint_that_is_no_address() -> None:
    with pytest.raises(SettingsError, match="otel_endpoint"):
        load_settings(otel_endpoint="collector:4318")
    assert Settings.model_fields["otel_endpoint"].default == ""
