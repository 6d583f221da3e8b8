"""Opening an installation on real servers: what is made, what is refused, and that nothing half-made stays."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_search.bootstrap import open_engine
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster import blobs, chunks, spaces
from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.opening import open_engine as open_engine_on
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import Reply, ServerError, Transport
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.errors import EngineUnavailable, SettingsError
from hybrid_search.product import Product
from hybrid_search.settings import Settings
from hybrid_search.types import FailureWrite, Space, VectorWrite
from tests.contracts.conftest import empty
from tests.contracts.engine_cases import CROSS, IMAGE, TEXT, vectors, write

OPENERS = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"


@dataclass
class Place:
    """A server and a prefix nobody else has."""

    product: ProductName
    url: str
    prefix: str

    def open(self, **options: Any) -> ClusterEngine:
        return OPENERS[self.product](self.url, prefix=self.prefix, **options)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in OPENERS])
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param, request.getfixturevalue(f"{request.param}_url"), f"open-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def installed(place: Place) -> Iterator[ClusterEngine]:
    made = place.open()
    yield made
    remove_all(made.server.transport, made.server.indices)
    made.close()


@pytest.fixture
def engine(installed: ClusterEngine) -> ClusterEngine:
    """Emptied, since making an installation takes seconds; a test that changes its settings puts them back."""
    empty(installed.server)
    return installed


def names(engine: ClusterEngine, prefix: str) -> set[str]:
    """Everything on the server that carries the prefix."""
    found: set[str] = set()
    for path, key in (("/_cat/indices", "index"), ("/_cat/templates", "name"), ("/_cat/aliases", "alias")):
        found |= {one[key] for one in engine.server.transport.request("GET", path, params={"format": "json"}).body}
    components = engine.server.transport.request("GET", "/_component_template").body["component_templates"]
    found |= {one["name"] for one in components}
    return {name for name in found if name.startswith(prefix)}


def request(engine: ClusterEngine, method: str, path: str, body: Any = None) -> Any:
    return engine.server.transport.request(method, path, body).body


def test_a_second_opening_finds_everything_and_removing_leaves_nothing(place: Place, engine: ClusterEngine) -> None:
    engine.put([write("a")])
    again = place.open()
    assert again.fetch(["a"])[0] is not None
    again.close()
    assert {f"{place.prefix}-{name}" for name in ("products", "chunks", "meta", "towers")} < names(engine, place.prefix)
    other = Place(place.product, place.url, f"{place.prefix}y")
    made = other.open()
    remove_all(made.server.transport, made.server.indices)
    made.close()
    assert names(engine, other.prefix) == set()


@pytest.mark.engine("elasticsearch")
def test_a_codec_that_the_licence_does_not_hold_is_refused_before_anything_is_made(elasticsearch_url: str) -> None:
    place = Place("elasticsearch", elasticsearch_url, f"licence-{uuid.uuid4().hex[:8]}")
    with pytest.raises(SettingsError, match=r"basic licence.*on_disk.*float, sq"):
        place.open(codec="on_disk")
    looking = place.open()
    remove_all(looking.server.transport, looking.server.indices)
    looking.close()


def test_an_override_that_the_server_refuses_leaves_nothing(place: Place, engine: ClusterEngine, tmp_path: Path) -> None:
    other = Place(place.product, place.url, f"{place.prefix}x")
    with pytest.raises(ServerError, match="no_such_type"):
        other.open(mappings=_without_towers(tmp_path, place.product))
    assert names(engine, other.prefix) == set()


def _without_towers(folder: Path, product: ProductName) -> Path:
    """Mapping files with which an opening fails at its last index."""
    content = json.loads((MAPPINGS / product / "towers.json").read_text())
    content["mappings"]["properties"]["vector"] = {"type": "no_such_type"}
    (folder / "towers.json").write_text(json.dumps(content))
    return folder


Hook = Callable[[str, str], None]


@dataclass
class Hooked:
    """A transport on which something else happens ``before`` and ``after`` each request, given its method and path."""

    inner: Transport
    before: Hook = lambda method, path: None
    after: Hook = lambda method, path: None
    url: str = ""

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        self.before(method, path)
        try:
            return self.inner.request(method, path, body, **options)
        finally:
            self.after(method, path)

    def close(self) -> None:
        """The other one's is in use."""


@pytest.mark.parametrize("meanwhile", ["completed", "under way"])
def test_an_opening_that_fails_takes_nothing_from_another(place: Place, engine: ClusterEngine, tmp_path: Path, meanwhile: str) -> None:
    """The first one makes all but its last index, which is refused; the second one finds the others there."""
    shared, prefix = engine.server.transport, f"{place.prefix}z{meanwhile[0]}"
    last = f"/{prefix}-towers-000001"
    refused, go_on = threading.Event(), threading.Event()

    def wait(method: str, path: str) -> None:
        if (method, path) == ("PUT", last):
            refused.set()
            assert go_on.wait(30.0)

    def fail() -> None:
        with pytest.raises(ServerError, match="no_such_type"):
            bad = _without_towers(tmp_path, place.product)
            open_engine_on(Hooked(shared, after=wait), place.product, prefix=prefix, mappings=bad)

    first = ThreadPoolExecutor(1).submit(fail)

    def let_the_first_end(method: str, path: str) -> None:
        if (method, path) == ("PUT", last) and not go_on.is_set():
            go_on.set()
            first.result(30.0)

    assert refused.wait(30.0)
    transport = Hooked(shared, before=let_the_first_end) if meanwhile == "under way" else Hooked(shared)
    second = open_engine_on(transport, place.product, prefix=prefix)
    go_on.set()
    first.result(30.0)
    try:
        second.add_space(TEXT)
        assert second.put([write("a")])[0].result == "created"
        assert second.open_chunks(at_most=1, size=1)[0].product_ids == ("a",)
        own = request(engine, "GET", f"/{prefix}-products/_mapping")
        assert next(iter(own.values()))["mappings"]["properties"]["title"]["type"] == "text", "not guessed by the server"
    finally:
        remove_all(second.server.transport, second.server.indices)
    assert names(engine, prefix) == set()


def test_an_alias_of_two_indices_is_named(place: Place, engine: ClusterEngine) -> None:
    second = f"{place.prefix}-products-000002"
    request(engine, "PUT", f"/{second}", {"aliases": {engine.server.indices.products: {}}})
    with pytest.raises(EngineUnavailable, match=rf"{place.prefix}-products points to 2 indices: .*000001, {second}"):
        place.open()
    request(engine, "DELETE", f"/{second}")


def test_a_lost_alias_is_told_and_makes_no_index(place: Place, engine: ClusterEngine) -> None:
    held = engine.server.indices
    remove = {"actions": [{"remove": {"index": f"{held.meta}-000001", "alias": held.meta}}]}
    request(engine, "POST", "/_aliases", remove)
    with pytest.raises(ServerError):
        engine.write_control({}, expected_version=0)
    with pytest.raises(EngineUnavailable, match=f"{held.meta}-000001 exists"):
        place.open()
    assert held.meta not in names(engine, place.prefix)
    request(engine, "POST", "/_aliases", {"actions": [{"add": {"index": f"{held.meta}-000001", "alias": held.meta}}]})


def test_a_read_only_index_is_told_per_product(place: Place, engine: ClusterEngine) -> None:
    products = engine.server.indices.products
    request(engine, "PUT", f"/{products}/_settings", {"index.blocks.read_only_allow_delete": True})
    try:
        (result,) = engine.put([write("a")])
        assert result.result == "error" and "read-only" in str(result.error)
    finally:
        request(engine, "PUT", f"/{products}/_settings", {"index.blocks.read_only_allow_delete": None})


def test_the_field_limit_is_told_with_its_setting(place: Place, engine: ClusterEngine) -> None:
    settings = f"/{engine.server.indices.products}/_settings"
    request(engine, "PUT", settings, {"index.mapping.total_fields.limit": 10})
    try:
        with pytest.raises(ServerError, match=r"[Ll]imit of total fields.*index\.mapping\.total_fields\.limit"):
            engine.add_space(CROSS)
        assert engine.spaces() == ()
    finally:
        request(engine, "PUT", settings, {"index.mapping.total_fields.limit": 1000})


def test_bad_items_do_not_spoil_the_good_ones(engine: ClusterEngine) -> None:
    engine.add_space(TEXT)
    engine.put([write("a"), write("b")])
    nothing = VectorWrite("a", TEXT.key, ("t1",), np.zeros((1, 3), np.float32))
    bad, good = engine.write_vectors([nothing, vectors("b", TEXT, ("t1",))])
    assert (bad.result, good.result) == ("error", "updated")
    assert "zero" in str(bad.error)


def test_whatever_a_shop_calls_its_attributes_comes_back(engine: ClusterEngine) -> None:
    names_ = ["a.b", ".", "..", "a.", " x", "id", "hybrid", "_id", "红", "a" * 300]
    product = Product(id="𝄞" * 200, title="x", attributes={name: ("v", "w" * 9_000) for name in names_ if name.strip()}, price=0.1)
    (result,) = engine.put([ProductWrite(product, {"text": ("t1",)})])
    assert result.result == "created", result.error
    (found,) = engine.fetch([product.id])
    assert found is not None and Product.model_validate(found.body) == product
    assert [document.id for document in engine.scan()] == [product.id]


def test_vectors_stay_through_partial_updates_and_never_travel(engine: ClusterEngine) -> None:
    """Also against the raw index: the vector is in ``_source`` and no reply of ours asks for it."""
    engine.add_space(TEXT)
    engine.add_space(IMAGE)
    exact = np.array([[0.1, -1e-30, 16777217.0]], np.float32)
    engine.put([write("a")])
    engine.write_vectors([VectorWrite("a", TEXT.key, ("t1",), exact), vectors("a", IMAGE, ("i1",))])
    for price in range(3):
        engine.put([write("a", price=float(price))])
    (found,) = engine.read_vectors(TEXT.key, ["a"])
    assert found is not None and found.tobytes() == exact.tobytes()
    products = engine.server.indices.products
    raw = request(engine, "GET", f"/{products}/_doc/a")["_source"]["hybrid"]
    assert set(raw) >= {"vec_text_1", "vec_image_1"}
    assert "vec_text_1" not in str(engine.server.mget(products, ["a"]))
    (document,) = engine.scan()
    assert "vec_" not in str(document)


def test_a_space_made_again_starts_empty_with_another_dimension(engine: ClusterEngine) -> None:
    engine.add_space(TEXT)
    engine.put([write("a")])
    engine.write_vectors([vectors("a", TEXT, ("t1",))])
    engine.drop_space(TEXT.key)
    wider = Space(TEXT.name, TEXT.version, 5, TEXT.part, TEXT.model, TEXT.query_models)
    engine.add_space(wider)
    assert engine.read_vectors(wider.key, ["a"]) == [None]
    assert [r.result for r in engine.write_vectors([vectors("a", wider, ("t1",))])] == ["updated"]
    raw = request(engine, "GET", f"/{engine.server.indices.products}/_doc/a")["_source"]["hybrid"]
    assert [name for name in raw if name.startswith("vec_")] == [f"vec_{spaces.read_spaces(engine.server).field_of(wider.key)}"], (
        "the dropped space gave its room back"
    )


LATE: dict[str, Callable[[ClusterEngine], object]] = {
    "put": lambda engine: engine.put([write("a", text="t2"), write("new", text="t2")]),
    "vectors": lambda engine: engine.write_vectors([vectors("a", TEXT, ("t1",))]),
    "failure": lambda engine: engine.write_failures([FailureWrite("a", TEXT.key, ("t1",), "broken", final=True)]),
}


@pytest.mark.parametrize("what", LATE)
def test_what_is_written_while_a_space_is_dropped_does_not_stay(engine: ClusterEngine, what: str) -> None:
    """The writer has read the list of spaces; before its write arrives the space is dropped, and its products are swept."""
    engine.add_space(TEXT)
    engine.add_space(CROSS)
    engine.put([write("a", text="")])
    engine.put([write("a")])
    held = engine.server

    def drop(method: str, path: str) -> None:
        if path == "/_bulk" and engine.spaces()[0].key == TEXT.key:
            engine.drop_space(TEXT.key)

    late = ClusterEngine(Server(Hooked(held.transport, before=drop), held.dialect, held.indices))
    LATE[what](late)
    assert [space.key for space in engine.spaces()] == [CROSS.key]
    for found in request(engine, "POST", f"/{held.indices.products}/_mget", {"ids": ["a", "new"]})["docs"]:
        if found["found"]:
            own = found["_source"]["hybrid"]
            field = spaces.read_spaces(held).used[-2]
            assert field not in json.dumps(own), own
            assert "image" in own["parts"], "the rest of the product stays"


def test_an_entry_left_by_a_writer_that_died_goes_with_the_next_write(engine: ClusterEngine) -> None:
    engine.add_space(TEXT)
    engine.put([write("a")])
    stored = request(engine, "GET", f"/{engine.server.indices.products}/_doc/a")["_source"]
    engine.drop_space(TEXT.key)
    request(engine, "PUT", f"/{engine.server.indices.products}/_doc/a", stored)
    assert engine.put([write("a")])[0].result == "updated"
    left = request(engine, "GET", f"/{engine.server.indices.products}/_doc/a")["_source"]["hybrid"]
    assert "ledger" in stored["hybrid"] and not left.get("ledger") and "pending" not in left


def test_the_settings_name_the_server(place: Place, installed: ClusterEngine, tmp_path: Path) -> None:
    address = {f"{place.product}_url": place.url}
    opened = open_engine(Settings(engine=place.product, index_prefix=place.prefix, home=tmp_path, **address))  # type: ignore[arg-type]
    assert opened.name == place.product
    assert opened.spaces() == installed.spaces()
    opened.close()


def test_signing_is_refused_where_no_server_takes_it() -> None:
    with pytest.raises(SettingsError, match="cannot be signed") as told:
        open_elasticsearch("http://127.0.0.1:1", sigv4_region="eu-west-1")
    assert told.value.field == "server_sigv4_region"


@pytest.mark.parametrize("inline", [0, 1_000])
def test_files_replaced_by_several_at_once_leave_no_pieces(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch, inline: int) -> None:
    monkeypatch.setattr(blobs, "INLINE", inline)
    start = threading.Barrier(4)

    def replace(number: int) -> None:
        start.wait()
        for turn in range(4):
            engine.write_blob("shared", f"{number} {turn}".encode())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(replace, range(4)))
    assert (engine.read_blob("shared") or b"").endswith(b" 3")
    meta = engine.server.indices.meta
    request(engine, "POST", f"/{meta}/_refresh")
    found = request(engine, "POST", f"/{meta}/_search", {"size": 100, "_source": False})["hits"]["hits"]
    assert sum(hit["_id"].startswith("blob:") for hit in found) == (1 if inline else 2)


def test_a_worker_that_outlives_its_installation_makes_no_index(place: Place, engine: ClusterEngine) -> None:
    gone = Server(engine.server.transport, engine.server.dialect, Indices(f"{place.prefix}-gone"))
    with pytest.raises(ServerError, match="no such index") as told:
        chunks.beat_chunk(gone, "any", now=1.0)
    assert "alias is gone" in (told.value.remedy or "")
    assert names(engine, gone.indices.prefix) == set()
    assert chunks.beat_chunk(engine.server, "any", now=1.0) is False
