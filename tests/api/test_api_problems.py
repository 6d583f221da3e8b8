"""Bad input: every error is a problem reply (RFC 9457) that names field, value and remedy, and no traceback leaves."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_search.api.problems import MEDIA_TYPE
from tests.api.conftest import Opener

JSON = {"Content-Type": "application/json"}


def problem(reply: TestResponse, status: int) -> dict[str, Any]:
    """The problem of ``reply``, which has all members that RFC 9457 and this API promise."""
    body = reply.get_json(force=True)
    assert reply.status_code == status, body
    assert reply.content_type == MEDIA_TYPE
    assert body["status"] == status
    assert body["type"].startswith("/problems#")
    assert body["title"] and body["detail"]
    assert body["request_id"] == reply.headers["X-Request-ID"]
    assert "Traceback" not in reply.get_data(as_text=True)
    return dict(body)


@pytest.fixture
def stocked(client: FlaskClient) -> FlaskClient:
    client.put("/v1/products/p1?refresh=wait", json={"title": "Blue kettle", "price": 10})
    return client


BODIES: list[tuple[dict[str, Any], str]] = [
    ({"q": 5}, "q"),
    ({"q": "x", "colour": "red"}, "colour"),
    ({"size": 0}, "size"),
    ({"size": 101}, "size"),
    ({"size": "many"}, "size"),
    ({"filters": [{"field": "nonsense", "values": ["x"]}]}, "nonsense"),
    ({"filters": [{"field": "price", "gte": "cheap"}]}, "filters.0.gte"),
    ({"filters": [{"field": "brand"}]}, "filters.0"),
    ({"filters": "brand"}, "filters"),
    ({"facets": [{"field": "nonsense"}]}, "nonsense"),
    ({"sort": [{"field": "title"}]}, "title"),
    ({"weights": {"magic": 1}}, "weights"),
    ({"weights": {"bm25": -1}}, "weights.bm25"),
    ({"fusion": "sum"}, "fusion"),
    ({"next": "forged"}, "next"),
    ({"images": [{"url": "file:///etc/passwd"}]}, "images.0"),
    ({"images": [{}]}, "images.0"),
    ({"images": [{"base64": "AAAA"}] * 6}, "images"),
]


@pytest.mark.parametrize(("body", "field"), BODIES)
def test_a_wrong_member_is_named(stocked: FlaskClient, body: dict[str, Any], field: str) -> None:
    said = problem(stocked.post("/v1/search", json=body), 422)
    assert field in said["field"] or said["field"] in field
    assert said["remedy"]


@pytest.mark.parametrize("q", ["x" * 257, "x" * 10_000, "外" * 10_000])
def test_a_query_that_is_too_long_is_refused_with_a_short_message(stocked: FlaskClient, q: str) -> None:
    reply = stocked.post("/v1/search", json={"q": q})
    said = problem(reply, 422)
    assert said["field"] == "q"
    assert len(said["value"]) <= 120
    assert len(reply.data) < 1_000
    problem(stocked.get("/v1/search", query_string={"q": q}), 422)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"{",
        b'{"q": NaN}',
        b'{"q": "\\ud800"}',
        b'{"q": "x"} {}',
        b'{"q": Infinity}',
        b"\xff\xfe",
        b'{"q": "\xed\xa0\x80"}',
        b"[" * 5_000,
    ],
)
def test_a_body_that_is_no_json_is_a_400_that_says_where(stocked: FlaskClient, content: bytes) -> None:
    said = problem(stocked.post("/v1/search", data=content, headers=JSON), 400)
    assert said["field"] == "body"
    assert said["remedy"]


@pytest.mark.parametrize("content", [b"[]", b'"q"', b"1", b"null", b"true"])
def test_a_body_must_be_an_object(stocked: FlaskClient, content: bytes) -> None:
    assert problem(stocked.post("/v1/search", data=content, headers=JSON), 422)["field"] == "body"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_wrong_content_type_is_a_415(stocked: FlaskClient, content_type: str) -> None:
    said = problem(stocked.post("/v1/search", data=b"{}", headers={"Content-Type": content_type}), 415)
    assert said["field"] == "Content-Type"
    assert "application/json" in said["remedy"]


@pytest.mark.parametrize(("method", "allowed"), [("DELETE", {"GET", "POST"}), ("PUT", {"GET", "POST"})])
def test_a_wrong_method_is_a_405_that_lists_the_right_ones(stocked: FlaskClient, method: str, allowed: set[str]) -> None:
    reply = stocked.open("/v1/search", method=method)
    problem(reply, 405)
    assert allowed <= set(reply.headers["Allow"].split(", "))


def test_an_unknown_address_is_a_404(stocked: FlaskClient) -> None:
    problem(stocked.get("/v2/search"), 404)
    problem(stocked.get("/openapi/assets/../../secrets"), 404)


def test_a_body_over_the_limit_is_a_413(opened: Opener) -> None:
    reply = opened(max_body_bytes=1_000).post("/v1/search", json={"q": "x" * 2_000})
    assert problem(reply, 413)["field"] == "body"


def test_an_unknown_query_parameter_and_a_wrong_value_are_named(stocked: FlaskClient) -> None:
    assert problem(stocked.put("/v1/products/p1?refresh=yes", json={}), 422)["field"] == "refresh"
    assert problem(stocked.get("/v1/products/p1/similar?sise=3"), 422)["field"] == "sise"
    assert problem(stocked.get("/v1/products/p1/images/0?side=9999"), 422)["field"] == "side"


@pytest.mark.parametrize(
    ("name", "value"), [("price", "cheap"), ("rating", 6), ("currency", "EURO"), ("gtin", "12"), ("images", 5), ("nonsense", 1)]
)
def test_a_wrong_product_field_is_named_with_its_value(client: FlaskClient, name: str, value: object) -> None:
    said = problem(client.put("/v1/products/p1", json={name: value}), 422)
    assert said["field"].startswith(name)
    assert str(value) in said["value"]


def test_several_faults_are_all_told(client: FlaskClient) -> None:
    said = problem(client.put("/v1/products/p1", json={"price": -1, "rating": 9, "nonsense": 1}), 422)
    assert {fault["field"] for fault in said["errors"]} == {"price", "rating", "nonsense"}


def test_a_multipart_search_names_what_is_wrong_with_it(stocked: FlaskClient) -> None:
    def send(**fields: Any) -> TestResponse:
        return stocked.post("/v1/search", data=fields, content_type="multipart/form-data")

    assert problem(send(request="{"), 400)["field"] == "request"
    assert problem(send(picture=(io.BytesIO(b"x"), "x.png")), 422)["field"] == "picture"
    assert problem(send(image=(io.BytesIO(b""), "x.png")), 422)["field"] == "image"
    assert problem(send(request='{"q": 7}'), 422)["field"] == "q"


def test_a_request_id_is_taken_over_when_it_is_harmless(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "shop-7.42"}).headers["X-Request-ID"] == "shop-7.42"
    for bad in ("x" * 200, "a b", "<script>", "a;b"):
        assert client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad


def test_an_unforeseen_error_is_a_500_without_a_traceback_and_is_logged(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    app = opened().application

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("secret detail")

    with caplog.at_level(logging.ERROR):
        reply = app.test_client().get("/boom")
    said = problem(reply, 500)
    assert "secret" not in reply.get_data(as_text=True)
    assert any(record.exc_info and getattr(record, "request_id", "") == said["request_id"] for record in caplog.records)


def test_an_engine_that_is_gone_is_a_503_with_a_pause(opened: Opener, tmp_path: Any) -> None:
    client = opened()
    store = tmp_path / "home" / "store.sqlite"
    client.application.extensions["hybrid_search"].engine.close()
    for name in (store, store.with_name("store.sqlite-wal"), store.with_name("store.sqlite-shm")):
        name.unlink(missing_ok=True)
    store.mkdir()
    reply = client.get("/v1/products/p1")
    problem(reply, 503)
    assert int(reply.headers["Retry-After"]) > 0
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["status"]) == (503, "unavailable")
    assert client.get("/healthz").status_code == 200


def test_the_page_of_problems_explains_every_kind(client: FlaskClient) -> None:
    kind = problem(client.get("/nothing"), 404)["type"]
    page, _, fragment = kind.partition("#")
    assert f'id="{fragment}"' in client.get(page).get_data(as_text=True)


def test_a_chunked_body_over_the_limit_is_a_413_too_not_its_beginning(opened: Opener) -> None:
    """Without a Content-Length nobody knows the size beforehand; the part within the limit would be valid JSON."""
    client = opened(max_body_bytes=1_000)
    body = io.BytesIO(b'{"q": "mug"}' + b" " * 2_000 + b"garbage")
    surroundings = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    reply = client.post("/v1/search", input_stream=body, content_type="application/json", environ_overrides=surroundings)
    assert problem(reply, 413)["field"] == "body"
