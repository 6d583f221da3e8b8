"""The change feed over HTTP: the greatest version wins, in any order; deletes stay deleted; bad lines spoil none."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import KEYS, Opener

NDJSON = {"Content-Type": "application/x-ndjson"}


def update(id_: str, version: Any, title: str = "", **more: Any) -> dict[str, Any]:
    return {"op": "update", "id": id_, "version": version, "product": {"title": title or f"version {version}", **more}}


def delete(id_: str, version: Any) -> dict[str, Any]:
    return {"op": "delete", "id": id_, "version": version}


def send(client: FlaskClient, *changes: Any, query: str = "") -> dict[str, Any]:
    body = b"\n".join(change if isinstance(change, bytes) else orjson.dumps(change) for change in changes)
    reply = client.post(f"/v1/changes{query}", data=body, headers=NDJSON)
    assert reply.status_code == 200, reply.get_json()
    return dict(reply.get_json())


def results(client: FlaskClient, *changes: Any) -> list[str]:
    return [item["result"] for item in send(client, *changes)["items"]]


def title(client: FlaskClient, id_: str = "p") -> str | None:
    reply = client.get(f"/v1/products/{id_}")
    return reply.get_json()["product"].get("title") if reply.status_code == 200 else None


def test_a_product_is_created_changed_and_deleted(client: FlaskClient) -> None:
    assert results(client, update("p", 1)) == ["created"]
    assert results(client, update("p", 2)) == ["updated"]
    assert title(client) == "version 2"
    assert results(client, delete("p", 3)) == ["deleted"]
    assert title(client) is None


@pytest.mark.parametrize("order", list(itertools.permutations([update("p", 1), update("p", 2), delete("p", 3)])), ids=str)
def test_a_deleted_product_stays_deleted_in_any_order(client: FlaskClient, order: tuple[dict[str, Any], ...]) -> None:
    for change in order:
        send(client, change)
    assert title(client) is None


def test_a_delete_before_its_create_is_remembered(client: FlaskClient) -> None:
    assert results(client, delete("p", 5)) == ["missing"]
    assert results(client, update("p", 4)) == ["stale"]
    assert title(client) is None
    assert results(client, update("p", 6)) == ["created"]


def test_doubled_changes_change_nothing(client: FlaskClient) -> None:
    send(client, update("p", 2))
    before = client.get("/v1/products/p").get_json()["seq"]
    told = send(client, update("p", 2, title="another text under the same version"), update("p", 2), update("p", 1))
    assert [item["result"] for item in told["items"]] == ["stale"] * 3
    assert (told["applied"], told["stale"], told["failed"]) == (0, 3, 0)
    assert client.get("/v1/products/p").get_json()["seq"] == before


def test_within_one_request_the_greatest_version_wins(client: FlaskClient) -> None:
    assert results(client, update("p", 3), update("p", 9), delete("p", 5), update("q", 1)) == ["stale", "created", "stale", "created"]
    assert title(client) == "version 9"


def test_versions_may_be_times_compared_as_moments(client: FlaskClient) -> None:
    assert results(client, update("p", "2026-01-31T13:00:00+01:00", title="noon")) == ["created"]
    assert results(client, update("p", "2026-01-31T11:59:59.999999Z", title="before")) == ["stale"]
    assert results(client, update("p", "2026-01-31T12:00:00.000001Z", title="after")) == ["updated"]
    exact = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 1_000_000 + 1
    assert results(client, update("p", exact)) == ["stale"]
    assert title(client) == "after"


@pytest.mark.parametrize(
    ("line", "status", "field"),
    [
        (b"{broken", 400, "line"),
        (b"[]", 422, "body"),
        ({"op": "upsert", "id": "p", "version": 1, "product": {}}, 422, "op"),
        ({"op": "update", "version": 1, "product": {}}, 422, "id"),
        ({"op": "update", "id": "", "version": 1, "product": {}}, 422, "id"),
        ({"op": "update", "id": 7, "version": 1, "product": {}}, 422, "id"),
        ({"op": "update", "id": "p", "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": -1, "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": 2**63 - 1, "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": 1.5, "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": True, "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": "yesterday", "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": "2026-01-31T12:00:00", "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": "1969-01-31T12:00:00Z", "product": {}}, 422, "version"),
        ({"op": "update", "id": "p", "version": 1}, 422, "body"),
        ({"op": "delete", "id": "p", "version": 1, "product": {}}, 422, "body"),
        ({"op": "update", "id": "p", "version": 1, "product": {"id": "q"}}, 422, "product.id"),
        ({"op": "update", "id": "p", "version": 1, "product": {"price": -1}}, 422, "price"),
        ({"op": "update", "id": "p", "version": 1, "product": {"images": ["/etc/passwd"]}}, 422, "images.0"),
        ({"op": "update", "id": "p", "version": 1, "product": {}, "extra": 1}, 422, "extra"),
    ],
    ids=str,
)
def test_a_bad_line_is_told_and_spoils_no_other(client: FlaskClient, line: Any, status: int, field: str) -> None:
    told = send(client, update("a", 1), line, update("b", 1))
    assert [item["status"] for item in told["items"]] == [201, status, 201]
    assert told["items"][1]["field"] == field or field == "body"
    assert (told["applied"], told["failed"]) == (2, 1)
    assert results(client, update("p", 0)) == ["created"]  # a refused change leaves no version behind


def test_a_request_needs_lines_their_type_and_a_key(client: FlaskClient, opened: Opener) -> None:
    assert client.post("/v1/changes", data=b"\n", headers=NDJSON).status_code == 400
    reply = client.post("/v1/changes", json=update("p", 1))
    assert (reply.status_code, reply.get_json()["field"], reply.content_type) == (415, "Content-Type", "application/problem+json")
    keyed = opened(api_keys=KEYS)
    assert keyed.post("/v1/changes", data=b"{}", headers=NDJSON).status_code == 401
    assert keyed.post("/v1/changes", data=b"{}", headers={**NDJSON, "X-API-Key": "search-key-0123456789"}).status_code == 403


def test_a_body_that_is_too_large_is_refused(opened: Opener) -> None:
    reply = opened(max_body_bytes=1_000).post("/v1/changes", data=orjson.dumps(update("p", 1)) * 200, headers=NDJSON)
    assert (reply.status_code, reply.get_json()["field"]) == (413, "body")


def test_more_changes_than_a_batch_are_answered_in_order(client: FlaskClient) -> None:
    told = send(client, *(update(f"p{n % 250}", n) for n in range(500)), query="?refresh=wait")
    assert [item["line"] for item in told["items"]] == list(range(1, 501))
    assert client.get("/v1/status").get_json()["products"] == 250
    assert {title(client, f"p{n}") for n in (0, 100, 249)} == {"version 250", "version 350", "version 499"}


CHANGES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cuts=st.sets(st.integers(1, 11)))
def test_the_end_is_that_of_the_greatest_version_whatever_came_before(
    client: FlaskClient, changes: list[tuple[str, int, bool]], cuts: set[int]
) -> None:
    """Ids are new for each example; the expected end is computed from the list alone."""
    run = title.__name__ + str(next(_NUMBERS))
    lines = [delete(run + id_, v) if gone else update(run + id_, v, title=f"{v} {n}") for n, (id_, v, gone) in enumerate(changes)]
    edges = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    for start, end in zip(edges, edges[1:], strict=False):
        send(client, *lines[start:end])
    for id_ in {id_ for id_, _, _ in changes}:
        of_product = [(v, -n, gone) for n, (i, v, gone) in enumerate(changes) if i == id_]
        version, number, gone = max(of_product)  # the first one of the greatest version
        assert title(client, run + id_) == (None if gone else f"{version} {-number}")


_NUMBERS = itertools.count()
