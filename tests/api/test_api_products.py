"""Products over HTTP: written, read, removed, many at once."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from tests.api.conftest import Opener

NDJSON = {"Content-Type": "application/x-ndjson"}


def png(colour: str = "red", side: int = 64) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def put(client: FlaskClient, product_id: str, query: str = "", **body: Any) -> TestResponse:
    return client.put(f"/v1/products/{product_id}{query}", json=body)


def found(client: FlaskClient, words: str) -> list[str]:
    return [hit["id"] for hit in client.post("/v1/search", json={"q": words}).get_json()["hits"]]


def test_a_new_product_is_created_and_can_be_read_at_once(client: FlaskClient) -> None:
    made = put(client, "p1", title="Blue kettle", price=12.5)
    assert (made.status_code, made.get_json()["result"]) == (201, "created")
    assert made.headers["Location"] == "/v1/products/p1"
    read = client.get("/v1/products/p1").get_json()
    assert read["product"] == {"id": "p1", "title": "Blue kettle", "price": 12.5}


def test_the_same_product_again_is_a_noop_and_a_changed_one_an_update(client: FlaskClient) -> None:
    put(client, "p1", title="Blue kettle")
    assert put(client, "p1", title="Blue kettle").get_json()["result"] == "noop"
    changed = put(client, "p1", title="Red kettle")
    assert (changed.status_code, changed.get_json()["result"]) == (200, "updated")


def test_a_write_that_waits_can_be_searched_for_at_once(client: FlaskClient) -> None:
    put(client, "p1", "?refresh=wait", title="Blue kettle")
    assert found(client, "kettle") == ["p1"]
    assert client.delete("/v1/products/p1?refresh=wait").status_code == 200
    assert found(client, "kettle") == []


@pytest.mark.parametrize("product_id", ["with space", "a/b/c", "百分%比", "q?x=1", "é.ü"])
def test_ids_may_hold_any_printable_character(client: FlaskClient, product_id: str) -> None:
    from urllib.parse import quote

    assert put(client, quote(product_id, safe=""), title="Odd").status_code == 201
    assert client.get(f"/v1/products/{quote(product_id, safe='')}").get_json()["id"] == product_id


def test_an_unknown_product_is_a_404_that_names_it(client: FlaskClient) -> None:
    for reply in (client.get("/v1/products/none"), client.delete("/v1/products/none"), client.get("/v1/products/none/images/0")):
        assert reply.status_code == 404
        assert (reply.get_json()["field"], reply.get_json()["value"]) == ("id", "none")


def test_an_id_in_the_body_must_be_the_one_in_the_address(client: FlaskClient) -> None:
    reply = put(client, "p1", id="p2")
    assert (reply.status_code, reply.get_json()["field"], reply.get_json()["value"]) == (422, "id", "p2")


def test_a_path_on_the_server_is_refused_as_a_picture(client: FlaskClient) -> None:
    for path in ("/etc/passwd", "../x.png", "images/x.png", "file:///etc/passwd", "\x00", "a" * 5000):
        reply = put(client, "p1", images=["https://shop.example/1.jpg", path])
        assert reply.status_code == 422
        assert reply.get_json()["field"] == "images.1"


def test_a_path_inside_a_configured_folder_is_taken(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png())
    client = opened(image_roots=str(tmp_path / "pictures"))
    assert put(client, "p1", images=["a.png"]).status_code == 201
    assert put(client, "p2", images=["../home/cursor.key"]).status_code == 422


def test_a_picture_comes_back_small_and_cacheable(client: FlaskClient) -> None:
    put(client, "p1", images=[data_url(png("red", 900))])
    reply = client.get("/v1/products/p1/images/0?side=100")
    assert reply.content_type == "image/webp"
    assert Image.open(io.BytesIO(reply.data)).size == (100, 100)
    assert "max-age" in reply.headers["Cache-Control"]
    again = client.get("/v1/products/p1/images/0?side=100", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_linked_picture_is_a_redirect_and_a_missing_one_a_404(client: FlaskClient) -> None:
    put(client, "p1", images=["https://shop.example/1.jpg"])
    assert client.get("/v1/products/p1/images/0").headers["Location"] == "https://shop.example/1.jpg"
    assert client.get("/v1/products/p1/images/1").status_code == 404


def test_a_picture_that_cannot_be_read_is_told_with_its_reason(client: FlaskClient) -> None:
    put(client, "p1", images=[data_url(b"no picture")])
    reply = client.get("/v1/products/p1/images/0")
    assert reply.status_code == 422
    assert reply.get_json()["type"] == "/problems#unreadable-picture"


def test_data_urls_and_paths_are_told_as_addresses_and_taken_back(client: FlaskClient) -> None:
    put(client, "p/1", title="Cup", images=["https://shop.example/1.jpg", data_url(png())])
    read = client.get("/v1/products/p/1").get_json()
    assert read["product"]["images"] == ["https://shop.example/1.jpg", "/v1/products/p%2F1/images/1"]
    assert client.put("/v1/products/p/1", json=read["product"]).get_json()["result"] == "noop"


def bulk(client: FlaskClient, body: bytes, query: str = "") -> TestResponse:
    return client.post(f"/v1/products{query}", data=body, headers=NDJSON)


def test_one_bad_line_spoils_none(client: FlaskClient) -> None:
    lines = [
        b'{"id": "a", "title": "Anchor"}',
        b"",
        b'{"id": "b", "price": -1}',
        b"{broken",
        b'["list"]',
        b'{"id": "c", "title": "Compass"}\r',
    ]
    reply = bulk(client, b"\n".join(lines), "?refresh=wait").get_json()
    told = [(item["line"], item["status"], item["field"]) for item in reply["items"]]
    assert told == [(1, 201, None), (3, 422, "price"), (4, 400, "line"), (5, 422, "body"), (6, 201, None)]
    assert (reply["written"], reply["failed"]) == (2, 3)
    assert found(client, "anchor") == ["a"]


def test_lines_end_at_line_feeds_only(client: FlaskClient) -> None:
    reply = bulk(client, '{"id": "a", "title": "one\u2028two\u0085three"}\n'.encode()).get_json()
    assert [item["status"] for item in reply["items"]] == [201]


def test_the_same_id_twice_keeps_the_later_line(client: FlaskClient) -> None:
    reply = bulk(client, b'{"id": "a", "title": "First"}\n{"id": "a", "title": "Second"}\n').get_json()
    assert [item["status"] < 300 for item in reply["items"]] == [True, True]
    assert client.get("/v1/products/a").get_json()["product"]["title"] == "Second"


def test_more_lines_than_a_batch_are_all_answered_in_order(client: FlaskClient) -> None:
    body = b"".join(orjson.dumps({"id": f"p{n:04d}", "title": f"Thing {n}"}) + b"\n" for n in range(450))
    reply = bulk(client, body).get_json()
    assert [item["line"] for item in reply["items"]] == list(range(1, 451))
    assert {item["result"] for item in reply["items"]} == {"created"}
    assert client.get("/v1/status").get_json()["products"] == 450


def test_a_bulk_body_that_is_too_large_is_refused_before_it_is_read(opened: Opener) -> None:
    client = opened(max_body_bytes=1_000)
    reply = bulk(client, b'{"id": "a"}\n' * 200)
    assert (reply.status_code, reply.get_json()["field"]) == (413, "body")


def test_a_bulk_request_needs_lines_and_their_content_type(client: FlaskClient) -> None:
    assert bulk(client, b"\n\n").status_code == 400
    reply = client.post("/v1/products", data=json.dumps({"id": "a"}), content_type="application/json")
    assert (reply.status_code, reply.get_json()["field"]) == (415, "Content-Type")
