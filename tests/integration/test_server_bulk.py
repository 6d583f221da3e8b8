"""Bulk writes and load settings on real servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import numpy as np
import pytest

from hybrid_search.engines.cluster.bulk import Action, send_bulk
from hybrid_search.engines.cluster.bulk_loading import bulk_loading, restore, unfinished_loading
from hybrid_search.engines.cluster.reaching import RetryingTransport, access
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch.transport import OpenSearchTransport


@pytest.fixture(params=[pytest.param(product, marks=pytest.mark.engine(product)) for product in ("opensearch", "elasticsearch")])
def transport(request: pytest.FixtureRequest) -> Iterator[RetryingTransport]:
    url = request.getfixturevalue(f"{request.param}_url")
    made = (OpenSearchTransport if request.param == "opensearch" else ElasticsearchTransport)(access(request.param, url))
    yield made
    made.close()


@pytest.fixture
def alias(transport: RetryingTransport) -> Iterator[str]:
    name = f"bulktest-{secrets.token_hex(4)}"
    body = {
        "aliases": {name: {}},
        "settings": {"index.number_of_replicas": 1, "index.refresh_interval": "7s"},
        "mappings": {"dynamic": False, "_meta": {"versions": {"products": 1}}, "properties": {"price": {"type": "double"}}},
    }
    transport.request("PUT", f"/{name}-000001", body)
    yield name
    transport.request("DELETE", f"/{name}-000001")


def settings(transport: RetryingTransport, alias: str) -> tuple[str | None, str | None]:
    (found,) = transport.request("GET", f"/{alias}/_settings", params={"flat_settings": "true"}).body.values()
    return found["settings"].get("index.refresh_interval"), found["settings"].get("index.number_of_replicas")


def meta(transport: RetryingTransport, alias: str) -> object:
    (found,) = transport.request("GET", f"/{alias}/_mapping").body.values()
    return found["mappings"]["_meta"]


def highest(transport: RetryingTransport, alias: str) -> int:
    reply = transport.request("GET", f"/{alias}/_stats/docs", params={"level": "shards"})
    shards = [copies for index in reply.body["indices"].values() for copies in index["shards"].values()]
    found: int = max(copy["seq_no"]["max_seq_no"] for copies in shards for copy in copies)
    return found


def test_results_in_order_and_vectors_exact(transport: RetryingTransport, alias: str) -> None:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((600, 64), dtype=np.float32)
    rows[0, :3] = (1e-45, -3.4028235e38, -0.0)
    actions = [
        Action("create", alias, f"p{number}", {"vec": row, "price": "dear" if number == 300 else 1.5}) for number, row in enumerate(rows)
    ]
    results = send_bulk(transport, actions, max_bytes=100_000)
    assert [result.id for result in results] == [action.id for action in actions]
    assert [(result.id, result.status) for result in results if not result.ok] == [("p300", 400)]
    assert "price" in str(results[300].error)
    for number in (0, 1, 599):
        stored = transport.request("GET", f"/{alias}/_doc/p{number}").body["_source"]["vec"]
        assert np.array(stored, dtype=np.float32).tobytes() == rows[number].tobytes()


def test_the_second_run_of_a_load_writes_nothing(transport: RetryingTransport, alias: str) -> None:
    """Cut off half-way, begun again, and once more: creates say 409, updates of the same content noop; no document changes."""
    rows = np.random.default_rng(6).standard_normal((200, 16), dtype=np.float32)
    load = [Action("create", alias, f"p{number}", {"vec": row}) for number, row in enumerate(rows)]
    send_bulk(transport, load[:90])
    assert [result.status for result in send_bulk(transport, load)] == [409] * 90 + [201] * 110
    before = highest(transport, alias)
    assert all(result.conflict for result in send_bulk(transport, load))
    same = [Action("update", alias, f"p{number}", {"doc": {"vec": row}}) for number, row in enumerate(rows)]
    assert [result.result for result in send_bulk(transport, same)] == ["noop"] * 200
    assert highest(transport, alias) == before


def test_guards_and_aliases(transport: RetryingTransport, alias: str) -> None:
    made = send_bulk(transport, [Action("create", alias, "a", {"price": 1})])[0]
    update = Action("update", alias, "a", {"doc": {"price": 2}}, if_seq_no=made.seq_no, if_primary_term=made.primary_term)
    first, second, gone = send_bulk(transport, [update, update, Action("delete", alias, "nobody")])
    assert (first.result, second.conflict, gone.missing, gone.error) == ("updated", True, True, None)
    direct = send_bulk(transport, [Action("index", f"{alias}-000001", "b", {})])[0]
    assert direct.status == 404 and "require_alias" in str(direct.error)
    assert send_bulk(transport, [Action("index", f"{alias}-000001", "b", {}, require_alias=False)])[0].result == "created"


def test_settings_of_a_load_are_put_back(transport: RetryingTransport, alias: str) -> None:
    with bulk_loading(transport, alias, replicas=0):
        assert settings(transport, alias) == ("-1", "0") and unfinished_loading(transport, alias) is not None
        send_bulk(transport, [Action("create", alias, "a", {})])
        assert transport.request("GET", f"/{alias}/_count").body["count"] == 0
    assert settings(transport, alias) == ("7s", "1") and meta(transport, alias) == {"versions": {"products": 1}}
    assert transport.request("GET", f"/{alias}/_count").body["count"] == 1
    with pytest.raises(ZeroDivisionError), bulk_loading(transport, alias):
        raise ZeroDivisionError
    assert settings(transport, alias) == ("7s", "1") and not restore(transport, alias)


def test_a_load_that_died_leaves_a_note_with_what_was_before(transport: RetryingTransport, alias: str) -> None:
    dead = bulk_loading(transport, alias, replicas=0)
    dead.__enter__()  # and never comes back
    with bulk_loading(transport, alias):
        found = unfinished_loading(transport, alias)
        assert found is not None and found.before == {"refresh_interval": "7s", "number_of_replicas": "1"}
    assert settings(transport, alias) == ("7s", "1") and unfinished_loading(transport, alias) is None
    transport.request("PUT", f"/{alias}/_settings", {"index.refresh_interval": None})
    with bulk_loading(transport, alias):
        pass
    assert settings(transport, alias) == (None, "1")
