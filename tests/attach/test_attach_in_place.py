"""Vectors and ledger inside indexes that somebody else writes: theirs stays theirs, ours comes back when they erase it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.api import create_app
from hybrid_search.attach.config import load_config
from hybrid_search.attach.in_place import attach_in_place
from hybrid_search.attach.propose import propose
from hybrid_search.attach.source import Source, describe
from hybrid_search.attach.writing import attach_file
from hybrid_search.bootstrap import build, open_engine
from hybrid_search.cli.main import app
from hybrid_search.errors import EngineError, HybridSearchError
from hybrid_search.settings import load_settings
from hybrid_search.types import KeywordLeg, SearchPlan, State, Terms, VectorLeg
from tests.attach.attached import SHOP, Attached, LinkedPictures
from tests.attach.conftest import PRODUCTS, Server
from tests.attach.shops import SHOPS, Thing


@pytest.fixture
def attached(server: Server, tmp_path: Path) -> Iterator[Attached]:
    made = Attached(server, 60, tmp_path)
    yield made
    made.close()


def doc(number: int) -> str:
    return SHOP.document(number)[0]


def test_products_are_embedded_where_they_are_and_nothing_of_theirs_changes(attached: Attached) -> None:
    attached.merge()
    before, results = attached.theirs(), attached.keyword_results()
    noticed = attached.engine.notice()
    assert (noticed.read, noticed.changed, noticed.rejected) == (60, 60, 0)
    attached.embed_all()
    assert attached.states() == {"text_1": {"ready": 60}, "image_1": {"ready": 60}}
    assert attached.theirs() == before
    attached.merge()
    assert attached.keyword_results() == results
    assert attached.engine.notice().read == 0
    assert attached.engine.look_at_all().changed == 0


def test_without_a_merge_scores_are_those_of_an_index_with_as_many_updates_that_change_nothing(attached: Attached) -> None:
    """Deleted copies count in BM25. Both indexes keep all of theirs: else it would be chance which ones a merge in between takes away."""
    transport, control = attached.server.transport, attached.server.make(SHOP, count=60, name="control")
    for index in (attached.index, control):
        transport.request("PUT", f"/{index}/_settings", {"index.soft_deletes.retention.operations": 1_000_000})
    untouched = attached.keyword_results()
    assert attached.keyword_results(control) == untouched
    attached.engine.notice()
    attached.embed_all()
    attached.engine.refresh()
    written = attached.versions(attached.index)
    assert len(written) == 60 and min(written.values()) > 1
    for round_ in range(1, max(written.values())):
        ids = [id_ for id_, version in written.items() if version > round_]
        lines = [line for id_ in ids for line in ({"update": {"_id": id_}}, {"doc": {}, "detect_noop": False})]
        body = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        assert not transport.request("POST", f"/{control}/_bulk", body, params={"refresh": "true"}).body["errors"]
    assert attached.versions(control) == written
    drifted = attached.keyword_results(control)
    assert drifted != untouched  # what is compared does move with the updates
    assert attached.keyword_results() == drifted


def test_search_in_place_by_words_vectors_and_filters(attached: Attached) -> None:
    attached.engine.notice()
    attached.embed_all()
    attached.engine.refresh()
    (vector,) = attached.engine.read_vectors("text_1", [doc(7)])
    assert vector is not None
    legs = (KeywordLeg("bm25", "water bottle", {"title": 1.0}, "1", 100), VectorLeg("text", "text_1", vector[0], 5))
    reply = attached.engine.search(SearchPlan(legs))
    assert reply.failed == {}
    assert reply.legs["text"].ids[0] == doc(7)
    assert np.isclose(reply.legs["text"].scores[0], 1.0, atol=1e-4)
    assert set(reply.legs["bm25"].ids) == {doc(n) for n in range(60) if "bottle" in Thing(n).title}
    cheap = (Terms("brand", ("Öresund",)),)
    reply = attached.engine.search(SearchPlan(legs, filters=cheap))
    assert (
        set(reply.legs["bm25"].ids)
        == {doc(7), doc(27), doc(47)}
        == {doc(n) for n in range(60) if "bottle" in Thing(n).title and Thing(n).maker == "Öresund"}
    )
    assert len(reply.legs["text"].ids) == 5
    assert all(Thing(int(id_.removeprefix("Qz"), 16)).maker == "Öresund" for id_ in reply.legs["text"].ids)


def test_a_document_is_read_as_a_product(attached: Attached) -> None:
    attached.engine.notice()
    (found,) = attached.engine.fetch([doc(5)])
    assert found is not None
    assert (found.id, found.body["title"], found.body["price"]) == (doc(5), Thing(5).title, 11.25)
    assert attached.engine.fetch(["nobody"]) == [None]
    attached.engine.refresh()
    assert [d.id for d in attached.engine.scan(limit=1_000)] == sorted(doc(n) for n in range(60))


def test_their_price_update_during_our_embedding_is_never_undone(attached: Attached) -> None:
    """The price changes exactly between our reading of a chunk and our writing of its vectors, and from a thread all the while."""
    transport, index = attached.server.transport, attached.index
    attached.engine.notice()
    prices: dict[str, float] = {}
    stop = threading.Event()

    def raise_prices() -> None:
        round_ = 0
        while not stop.is_set():
            for number in range(0, 60, 7):
                price = 1_000.0 + round_
                body = {"doc": {"offers": [{"amount": price, "currency": "EUR", "status": "in stock"}]}}
                transport.request("POST", f"/{index}/_update/{doc(number)}", body, params={"retry_on_conflict": "20"})
                prices[doc(number)] = price
            round_ += 1

    writer = threading.Thread(target=raise_prices)
    writer.start()
    try:
        attached.embed_all()
    finally:
        stop.set()
        writer.join()
    transport.request("POST", f"/{index}/_refresh")
    assert len(prices) == 9
    assert {id_: attached.theirs()[id_]["offers"][0]["amount"] for id_ in prices} == prices
    assert attached.states() == {"text_1": {"ready": 60}, "image_1": {"ready": 60}}  # a price is no reason to embed again


def test_whole_documents_written_by_them_are_refilled_without_a_tower(attached: Attached) -> None:
    attached.engine.notice()
    attached.embed_all()
    vectors = attached.engine.read_vectors("image_1", [doc(n) for n in range(60)])
    calls = attached.calls()
    attached.server.write(attached.index, SHOP.documents(60))  # their nightly full index
    assert attached.engine.notice().changed == 60
    attached.embed_all()
    assert attached.calls() == calls
    assert attached.states() == {"text_1": {"ready": 60}, "image_1": {"ready": 60}}
    again = attached.engine.read_vectors("image_1", [doc(n) for n in range(60)])
    assert all(a is not None and b is not None and np.array_equal(a, b) for a, b in zip(vectors, again, strict=True))


def test_a_changed_text_is_embedded_again_and_a_late_vector_refused(attached: Attached) -> None:
    attached.engine.notice()
    attached.embed_all()
    body = {"doc": {"title": {"en": "Something else"}, "revision": 9_000}}
    attached.server.transport.request("POST", f"/{attached.index}/_update/{doc(3)}", body, params={"refresh": "true"})
    noticed = attached.engine.notice(since=9_000)
    assert (noticed.read, noticed.changed) == (1, 1)
    attached.engine.refresh()
    assert attached.states() == {"text_1": {"pending": 1, "ready": 59}, "image_1": {"ready": 60}}
    calls = len(attached.text.calls)
    attached.embed_all()
    assert len(attached.text.calls) == calls + 1


def test_a_document_that_is_no_product_is_marked_once(attached: Attached) -> None:
    id_, body = SHOP.document(4)
    attached.server.write(attached.index, [(id_, {**body, "offers": [{"amount": -1, "currency": "EUR"}]})])
    noticed = attached.engine.notice()
    assert (noticed.read, noticed.rejected) == (60, 1)
    attached.engine.refresh()
    assert attached.engine.notice().read == 0
    assert attached.states()["text_1"] == {"pending": 59}


def test_what_is_theirs_is_not_written_through_here(attached: Attached) -> None:
    with pytest.raises(EngineError, match="shop's own"):
        attached.engine.delete([doc(1)])


def test_the_api_refuses_writes_and_keeps_nothing_of_them(attached: Attached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached.engine.notice()
    attached.engine.refresh()
    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", f"{attached.server.prefix}-ours")
    before = attached.server.fingerprint(attached.index)
    services = build(load_settings(attach=tmp_path / "attach.toml", home=tmp_path / "home"), make_spaces=False)
    try:
        client = create_app(services).test_client()
        lines = {"content_type": "application/x-ndjson"}
        change = {"op": "update", "id": doc(1), "version": 1, "product": {"title": "Late"}}
        replies = [
            client.put(f"/v1/products/{doc(1)}", json={"title": "Late"}),
            client.delete(f"/v1/products/{doc(1)}"),
            client.post("/v1/products", data=orjson.dumps({"id": doc(1), "title": "Late"}), **lines),
            client.post("/v1/changes", data=orjson.dumps(change), **lines),
            client.post("/v1/changes", data=orjson.dumps({"op": "delete", "id": doc(1), "version": 2}), **lines),
        ]
        found = client.post("/v1/search", json={"q": "kettle", "facets": [{"field": "brand"}]})
        shown = client.get("/?q=kettle")
        unknown = client.post("/v1/search", json={"q": "kettle", "filters": [{"field": "price", "gte": 3}]})
    finally:
        services.close()
    for reply in replies:
        assert (reply.status_code, reply.mimetype) == (409, "application/problem+json")
        assert reply.get_json()["type"] == "/problems#read-only"
        assert "shop's own" in reply.get_json()["detail"] and "attach sync" in reply.get_json()["remedy"]
    assert attached.server.fingerprint(attached.index) == before
    assert not [name for name in attached.server.transport.request("GET", f"/{attached.server.prefix}-ours*").body if "changes" in name]
    assert (found.status_code, found.get_json()["total"]) == (200, 6), found.get_json()
    assert shown.status_code == 200 and "Kettle" in shown.text  # the page asks for no facet that theirs cannot answer
    assert (unknown.status_code, unknown.get_json()["field"]) == (422, "price")
    assert "nested object 'offers'" in unknown.get_json()["detail"]


def test_the_doctor_looks_at_queue_and_spaces_in_place_and_changes_nothing(
    attached: Attached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examined() -> tuple[dict[str, tuple[str, str, str]], Any]:
        command = ["doctor", "--json", "--home", str(tmp_path / "home"), "--skip", "redis", "--skip", "models", "--skip", "keys"]
        told = orjson.loads(CliRunner().invoke(app, command).stdout)["findings"]
        return {f["check"]: (f["level"], f["found"], f["remedy"]) for f in told}, attached.server.fingerprint(attached.index)

    monkeypatch.setenv("HYBRID_SEARCH_ATTACH", str(tmp_path / "attach.toml"))
    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", f"{attached.server.prefix}-ours")
    attached.engine.notice()
    attached.engine.refresh()
    before = attached.server.fingerprint(attached.index)
    found, after = examined()
    assert after == before
    assert found["queue"][1].startswith("60 products, 120 embeddings pending")
    assert found["queue.idle"][0] == "warn"
    assert found["spaces"][0] == "warn" and "do not load" in found["spaces"][1]  # the towers of this test are nobody's settings
    assert found["indices.aliases"][0] == "ok"
    assert "indices.mappings" not in found  # theirs
    attached.server.transport.request("PUT", f"/{attached.index}/_settings", {"index.blocks.write": True})
    assert examined()[0]["indices.blocks"][:2] == ("fail", f"{attached.index} refuses writes: index.blocks.write is set.")

    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", f"{attached.server.prefix}-nobody")
    found, _ = examined()
    assert found["engine"][0] == "warn" and "attach in-place" in found["engine"][2]
    assert not attached.server.transport.request("GET", f"/{attached.server.prefix}-nobody*").body


def test_a_new_index_behind_their_alias_is_fitted_out_and_refilled(server: Server, tmp_path: Path) -> None:
    """As a shop's nightly build does it: a new index, filled, and the alias moved."""
    attached = Attached(server, 12, tmp_path)
    one, two, alias = attached.index, server.make(SHOP, count=12, name="two"), f"{server.prefix}-shop"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": one, "alias": alias}}]})
    attached.engine.close()
    attached.config = attached.config.model_copy(update={"source": attached.config.source.model_copy(update={"index": alias})})
    attached.engine = attached.open()
    attached.engine.notice()
    attached.embed_all()
    calls = attached.calls()
    swap = [{"remove": {"index": one, "alias": alias}}, {"add": {"index": two, "alias": alias}}]
    server.transport.request("POST", "/_aliases", {"actions": swap})
    assert attached.engine.notice().changed == 12
    attached.embed_all()
    attached.engine.refresh()
    assert attached.states() == {"text_1": {"ready": 12}, "image_1": {"ready": 12}}
    assert attached.calls() == calls
    told = [server.transport.request("GET", f"/{index}/_mapping").body[index]["mappings"]["properties"]["hybrid"] for index in (one, two)]
    assert told[0] == told[1]
    attached.close()


def swap_for(server: Server, alias: str, old: str, new: str) -> None:
    """As a nightly build ends: the alias moved and the old index deleted."""
    server.transport.request("POST", "/_aliases", {"actions": [{"remove_index": {"index": old}}, {"add": {"index": new, "alias": alias}}]})


def test_the_command_goes_on_with_the_new_index_when_the_old_one_is_deleted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, alias = server.make(SHOP, count=12, name="one"), f"{server.prefix}-shop"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": one, "alias": alias}}]})
    told = describe(server.transport, alias)
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, propose(told, Source(server.transport, told).sample(10))))
    assert load_config(path).follow.field == "revision"
    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", f"{server.prefix}-ours")
    rounds: list[float] = []

    def pause(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 1:
            swap_for(server, alias, one, server.make(SHOP, count=9, name="two"))
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pause)
    done = CliRunner().invoke(app, ["attach", "in-place", "--config", str(path), "--home", str(tmp_path / "home")])
    assert "12 documents looked at, 12 ledgers written" in done.output
    assert "9 ledgers written" in done.output, done.output


def test_searches_go_by_the_fields_of_the_new_index(server: Server, tmp_path: Path) -> None:
    """In a process that only searches, as the API: nobody tells it."""
    attached = Attached(server, 12, tmp_path)
    one, alias = attached.index, f"{server.prefix}-shop"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": one, "alias": alias}}]})
    attached.engine.close()
    attached.config = attached.config.model_copy(update={"source": attached.config.source.model_copy(update={"index": alias})})
    attached.engine = attached.open()
    api = attached.open()
    attached.engine.notice()
    plan = SearchPlan((KeywordLeg("bm25", "bottle", {"title": 1.0}, "1", 100),), filters=(Terms("brand", (Thing(7).maker,)),))
    api.refresh()
    assert api.search(plan).legs["bm25"].ids == (doc(7),)
    body = SHOP.index(server.product)
    text = {"type": "text", "fields": {"whole": {"type": "keyword"}}}  # no longer found whole under its own name
    body["mappings"]["properties"]["maker"]["properties"]["name"] = text
    two = f"{server.prefix}-two"
    server.transport.request("PUT", f"/{two}", body)
    server.write(two, SHOP.documents(12))
    swap_for(server, alias, one, two)
    attached.engine.notice()
    attached.engine.refresh()
    api._known = None  # as a second later
    assert api.search(plan).legs["bm25"].ids == (doc(7),)
    api.close()
    attached.close()


def test_an_index_that_cannot_carry_ours_is_refused(server: Server, tmp_path: Path) -> None:
    bodies = {
        "a field of its own": {"properties": {"hybrid": {"type": "boolean"}}},
        "routing value": {"_routing": {"required": True}, "properties": {"title": {"type": "text"}}},
        "follow.field.*is a keyword, not a date": {"properties": {"title": {"type": "text"}, "changed": {"type": "keyword"}}},
    }
    knn = {"index.knn": True} if server.product == "opensearch" else {}
    for number, (why, mappings) in enumerate(bodies.items()):
        index = f"{server.prefix}-{number}"
        server.transport.request("PUT", f"/{index}", {"settings": {"index.number_of_replicas": 0, **knn}, "mappings": mappings})
        path = tmp_path / "attach.toml"
        source = f'[source]\nurl = "{server.url}"\nindex = "{index}"\nengine = "{server.product}"\n'
        path.write_text(f'{source}[fields]\nid = "_id"\ntitle = "title"\n[follow]\nfield = "changed"\n')
        before = server.transport.request("GET", f"/{index}").body
        with pytest.raises(HybridSearchError, match=why):
            attach_in_place(server.transport, load_config(path), LinkedPictures(), prefix=f"{server.prefix}-ours")
        assert server.transport.request("GET", f"/{index}").body == before


def test_a_refused_index_is_left_as_it_was(server: Server, tmp_path: Path) -> None:
    """OpenSearch cannot add vectors where index.knn is not true."""
    if server.product != "opensearch":
        pytest.skip("Elasticsearch has no such switch")
    index = server.make(SHOPS["magento"], count=3)
    told = describe(server.transport, index)
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, propose(told, Source(server.transport, told).sample(10))))
    before = server.fingerprint(index)
    with pytest.raises(EngineError, match="side index"):
        attach_in_place(server.transport, load_config(path), LinkedPictures(), prefix=f"{server.prefix}-ours")
    assert server.fingerprint(index) == before
    assert orjson.dumps(list(server.transport.request("GET", f"/{server.prefix}-ours*").body)) == b"[]"


def test_the_command_and_the_setting_open_the_same_engine(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = server.make(SHOP, count=12)
    told = describe(server.transport, index)
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, propose(told, Source(server.transport, told).sample(10))))
    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", f"{server.prefix}-ours")
    done = CliRunner().invoke(app, ["attach", "in-place", "--config", str(path), "--once", "--home", str(tmp_path / "home")])
    assert done.exit_code == 0, done.output
    assert "12 ledgers written" in done.output
    engine = open_engine(load_settings(attach=path, home=tmp_path / "home"))
    status = engine.status()
    engine.close()
    assert status.products == 12
    assert {states[State.PENDING] for states in status.states.values()} == {12}


@pytest.mark.parametrize("server", PRODUCTS[1:], indirect=True)
def test_a_document_dated_in_the_future_does_not_hide_the_changes_after_it(server: Server, tmp_path: Path) -> None:
    shop = SHOPS["magento"]
    index = server.make(shop, count=5)
    told = describe(server.transport, index)
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, propose(told, Source(server.transport, told).sample(200))))
    engine = attach_in_place(server.transport, load_config(path), LinkedPictures(), prefix=f"{server.prefix}-ours")
    assert engine.warnings() == []
    id_, body = shop.document(4)
    server.write(index, [(id_, {**body, "updated_at": "2999-01-01 00:00:00"})])
    server.write(index, [(shop.document(3)[0], {**shop.document(3)[1], "updated_at": "2026-05-01 10:00:00"})])
    assert engine.newest_change() == 1_777_629_600_000  # 2026-05-01 10:00 UTC, by date(1)
    assert "1 documents" in engine.warnings()[0] and repr(id_) in engine.warnings()[0]


def test_ours_can_be_taken_out_again_as_the_docs_say(attached: Attached) -> None:
    told = Path(__file__).parents[2].joinpath("docs", "attach.md").read_text()
    (script,) = [line.strip() for line in told.splitlines() if line.strip().startswith('{"query": {"exists": {"field": "hybrid.id"}}')]
    transport, before = attached.server.transport, attached.theirs()
    attached.engine.notice()
    attached.embed_all()
    transport.request("POST", f"/{attached.index}/_refresh")
    done = transport.request(
        "POST", f"/{attached.index}/_update_by_query", orjson.loads(script), params={"conflicts": "proceed", "refresh": "true"}
    )
    assert (done.body["updated"], done.body["version_conflicts"]) == (60, 0)
    found = transport.request("POST", f"/{attached.index}/_search", {"size": 100}).body["hits"]["hits"]
    assert {hit["_id"]: hit["_source"] for hit in found} == before
    names = [f"{attached.server.prefix}-ours-{name}" for name in ("chunks", "meta", "towers")]
    aliases = transport.request("GET", f"/_alias/{','.join(names)}").body
    ours = transport.request("GET", f"/{attached.server.prefix}-ours-*", params={"expand_wildcards": "all"}).body
    assert aliases.keys() == ours.keys()  # and no other index of ours is left
