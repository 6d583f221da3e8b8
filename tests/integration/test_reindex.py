"""A new products index behind the alias while shoppers search and writers write: nothing fails, nothing is lost."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybrid_search.engines.base import ProductWrite, scan_all
from hybrid_search.engines.cluster import copying, reindexing, rewriting
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import behind_aliases, read_templates, remove_all
from hybrid_search.engines.cluster.mappings import MappingFile, load_mappings
from hybrid_search.engines.cluster.reindexing import reindex, return_to
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import Reply, ServerError, Transport
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.errors import ConflictError, EngineError, EngineUnavailable, NotFoundError
from hybrid_search.product import Product
from hybrid_search.types import KeywordLeg, Requeue, SearchPlan, VectorLeg
from tests.contracts.engine_cases import TEXT, rows, vectors, write
from tests.integration.faults.proxy import FaultyProxy

PRODUCTS = 1_500
PLAN = SearchPlan((KeywordLeg("bm25", "thing", {"title": 1.0}, "1", 10),))


@pytest.fixture(
    params=[
        pytest.param("opensearch", marks=pytest.mark.engine("opensearch")),
        pytest.param("elasticsearch", marks=pytest.mark.engine("elasticsearch")),
    ]
)
def engine(request: pytest.FixtureRequest) -> Iterator[ClusterEngine]:
    opener = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}[request.param]
    made = opener(request.getfixturevalue(f"{request.param}_url"), prefix=f"reindex-{uuid.uuid4().hex[:8]}")
    yield made
    indices = made.server.indices
    found = made.server.transport.request("GET", f"/{indices.products}-*/_alias").body
    for index in found:
        made.server.transport.request("DELETE", f"/{index}", ignore=(404,))
    remove_all(made.server.transport, indices)
    made.close()


def files(engine: ClusterEngine, folder: Path | None = None) -> dict[str, MappingFile]:
    product = engine.server.dialect.product
    return load_mappings(product, engine.server.indices.prefix, folder)


@dataclass
class Writers:
    """Writes, deletes and makes anew at random; ``oracle`` has the price of every living product whose write was acknowledged."""

    engine: ClusterEngine
    oracle: dict[str, float]
    errors: list[Exception] = field(default_factory=list)
    writes: int = 0

    def run(self, stop: threading.Event, seed: int) -> None:
        rng = random.Random(seed)
        mine = [id_ for id_ in sorted(self.oracle) if hash(id_[-1]) % 2 == seed]
        try:
            while not stop.is_set():
                batch = rng.sample(mine, 5)
                price = float(self.writes)
                if rng.random() < 0.2:
                    self.engine.delete(batch)
                    for id_ in batch:
                        self.oracle.pop(id_, None)
                else:
                    results = self.engine.put([write(id_, price=price) for id_ in batch])
                    assert all(result.error is None for result in results), results
                    self.oracle.update(dict.fromkeys(batch, price))
                self.writes += 1
                time.sleep(0.005)
        except (EngineUnavailable, ServerError, AssertionError) as err:
            self.errors.append(err)


@pytest.mark.slow
def test_reindex_under_searches_and_writes(engine: ClusterEngine) -> None:
    engine.add_space(TEXT)
    ids = [f"p{n:04}" for n in range(PRODUCTS)]
    for start in range(0, PRODUCTS, 500):
        engine.put([write(id_, price=0.0) for id_ in ids[start : start + 500]])
        engine.write_vectors([vectors(id_, TEXT, ("t1",)) for id_ in ids[start : start + 500]])
    engine.refresh()
    old = behind_aliases(engine.server.transport, engine.server.indices)[engine.server.indices.products]
    writers = Writers(engine, dict.fromkeys(ids, 0.0))
    stop = threading.Event()
    answered: list[bool] = []

    def search() -> None:
        while not stop.is_set():
            reply = engine.search(PLAN)
            answered.append(not reply.failed and reply.total > PRODUCTS / 2)
            time.sleep(0.02)

    threads = [threading.Thread(target=writers.run, args=(stop, seed)) for seed in (0, 1)] + [threading.Thread(target=search)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        done = reindex(engine.server, files(engine), shards=1, replicas=0)
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert writers.errors == []
    assert writers.writes > 20
    assert len(answered) > 20
    assert all(answered)
    assert behind_aliases(engine.server.transport, engine.server.indices)[engine.server.indices.products] == done.new != old == done.old
    engine.refresh()
    assert {document.id: document.body["price"] for document in scan_all(engine)} == writers.oracle
    kept = [id_ for id_ in sorted(writers.oracle) if engine.read_vectors("text_1", [id_])[0] is not None][:3]
    for found in engine.read_vectors("text_1", kept):
        assert found is not None
        assert (found == rows(1, 3)).all()
    hits = engine.search(SearchPlan((VectorLeg("knn", "text_1", rows(1, 3)[0], 5),))).legs["knn"]
    assert len(hits.ids) == 5


def test_a_changed_mapping_takes_effect_and_the_way_back_is_kept(engine: ClusterEngine, tmp_path: Path) -> None:
    engine.put([ProductWrite(Product(id="a", title="red shoe"), {})], refresh=True)
    source = Path(__file__).resolve().parents[2] / "mappings" / engine.server.dialect.product / "product-fields.json"
    own = orjson.loads(source.read_bytes())
    own["template"]["mappings"]["properties"]["title"]["fields"]["raw"] = {"type": "keyword"}
    (tmp_path / "product-fields.json").write_bytes(orjson.dumps(own))
    done = reindex(engine.server, files(engine, tmp_path), shards=2, replicas=0)
    search = f"/{engine.server.indices.products}/_search"
    by_raw = {"query": {"term": {"title.raw": "red shoe"}}}
    assert engine.server.transport.request("POST", search, by_raw).body["hits"]["total"]["value"] == 1
    return_to(engine.server, done.old)
    assert engine.server.transport.request("POST", search, by_raw).body["hits"]["total"]["value"] == 0
    assert engine.put([write("b")])[0].result == "created"
    with pytest.raises(NotFoundError, match="There is no index"):
        return_to(engine.server, "nothing-000009")


def test_a_mapping_that_refuses_a_product_changes_nothing(engine: ClusterEngine, tmp_path: Path) -> None:
    engine.put([ProductWrite(Product(id="a", title="red shoe", sku="AB-12"), {})], refresh=True)
    before = behind_aliases(engine.server.transport, engine.server.indices)
    source = Path(__file__).resolve().parents[2] / "mappings" / engine.server.dialect.product / "product-fields.json"
    own = orjson.loads(source.read_bytes())
    own["template"]["mappings"]["properties"]["sku"] = {"type": "integer"}
    (tmp_path / "product-fields.json").write_bytes(orjson.dumps(own))
    templates = read_templates(engine.server.transport, engine.server.indices)
    with pytest.raises(ServerError, match=r"product 'a'.*AB-12"):
        reindex(engine.server, files(engine, tmp_path), shards=1, replicas=0)
    assert read_templates(engine.server.transport, engine.server.indices) == templates
    assert len(templates) == 2
    assert behind_aliases(engine.server.transport, engine.server.indices) == before
    assert engine.server.transport.request("HEAD", f"/{engine.server.indices.products}-000002", ignore=(404,)).status == 404
    assert engine.put([write("b")])[0].result == "created"


def products_indices(engine: ClusterEngine) -> set[str]:
    return set(engine.server.transport.request("GET", f"/{engine.server.indices.products}-*/_alias").body)


def test_a_copy_that_is_interrupted_leaves_nothing(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in range(0, 4_000, 1_000):
        engine.put([write(f"p{n:04}") for n in range(start, start + 1_000)])
    before = products_indices(engine)
    monkeypatch.setattr(copying, "BATCH", 10)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reindex(engine.server, files(engine), shards=1, replicas=0, progress=interrupt)
    tasks = engine.server.transport.request("GET", "/_tasks", params={"actions": "*data/write/reindex", "detailed": "true"}).body
    assert engine.server.indices.products not in orjson.dumps(tasks).decode()
    assert products_indices(engine) == before
    assert engine.put([write("b")])[0].result == "created"


def test_a_space_added_in_the_last_moment_can_be_searched(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put([write("a")])
    move = reindexing._point

    def point(server: Server, old: str, new: str) -> None:
        engine.add_space(TEXT)
        move(server, old, new)

    monkeypatch.setattr(reindexing, "_point", point)
    reindex(engine.server, files(engine), shards=1, replicas=0)
    assert engine.write_vectors([vectors("a", TEXT, ("t1",))])[0].result == "updated"
    engine.refresh()
    assert engine.search(SearchPlan((VectorLeg("knn", "text_1", rows(1, 3)[0], 5),))).legs["knn"].ids == ("a",)


def test_the_way_back_knows_spaces_added_since_and_closes_what_it_leaves(engine: ClusterEngine) -> None:
    engine.put([write("a")])
    done = reindex(engine.server, files(engine), shards=1, replicas=0)
    engine.add_space(TEXT)
    return_to(engine.server, done.old)
    assert engine.write_vectors([vectors("a", TEXT, ("t1",))])[0].result == "updated"
    engine.refresh()
    assert engine.search(SearchPlan((VectorLeg("knn", "text_1", rows(1, 3)[0], 5),))).legs["knn"].ids == ("a",)
    refused = engine.server.transport.request("PUT", f"/{done.new}/_doc/late", {"id": "late"}, ignore=(403,))
    assert refused.status == 403  # a write that nobody would ever read
    for other in (engine.server.indices.chunks, f"{engine.server.indices.towers}-000001"):
        with pytest.raises(NotFoundError, match="There is no index"):
            return_to(engine.server, other)


def test_a_write_waits_for_as_long_as_a_block_lasts(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "ROUNDS", 3)
    index = behind_aliases(engine.server.transport, engine.server.indices)[engine.server.indices.products]
    engine.server.transport.request("PUT", f"/{index}/_block/write")
    lift = threading.Timer(1.5, engine.server.transport.request, ("PUT", f"/{index}/_settings", {"index.blocks.write": None}))
    lift.start()
    assert engine.put([write("a")])[0].result == "created"
    lift.join()
    monkeypatch.setattr(rewriting, "MOST_BLOCKED", 0.2)
    engine.server.transport.request("PUT", f"/{index}/_block/write")
    with pytest.raises(EngineUnavailable, match="Writes are blocked"):
        engine.put([write("b")])


def test_changes_after_a_reindex_are_seen_although_their_numbers_were_used_before(engine: ClusterEngine) -> None:
    for price in range(5):
        engine.put([write("a", price=float(price))], refresh=True)
    reached = engine.status().seq
    done = reindex(engine.server, files(engine), shards=1, replicas=0)
    engine.server.transport.request("PUT", f"/{done.new}/_settings", {"index.refresh_interval": "60s"})
    engine.put([write(f"b{n}") for n in range(reached - 1)])  # the copy of "a" was the new index's first change
    status = engine.status()
    assert status.seq == reached
    assert (status.products, status.indexed_seq) == (reached, reached)
    assert engine.search(PLAN).seq == reached


def test_a_ledger_is_not_mended_by_what_was_read_before_a_reindex(engine: ClusterEngine) -> None:
    engine.add_space(TEXT)
    engine.put([write("a", price=1.0)])
    (read,) = engine.fetch(["a"])
    engine.put([write("a", price=2.0)])
    reindex(engine.server, files(engine), shards=1, replicas=0)
    (now,) = engine.fetch(["a"])
    assert read is not None
    assert now is not None
    assert read.seq == now.seq == 1, "it was the first change in either index"
    assert engine.requeue([Requeue("a", read.seq, {"text": ("stale",), "image": ()}, numbering=read.numbering)]) == 0
    assert engine.requeue([Requeue("a", now.seq, {"text": ("new",), "image": ()}, numbering=now.numbering)]) == 1


def test_a_space_added_during_the_copy_comes_along(engine: ClusterEngine) -> None:
    for start in range(0, 1_000, 500):
        engine.put([write(f"p{n:04}") for n in range(start, start + 500)])
    added: list[str] = []

    def add(done: int, total: int) -> None:
        if not added:
            engine.add_space(TEXT)
            added.extend(result.result for result in engine.write_vectors([vectors(id_, TEXT, ("t1",)) for id_ in ("p0000", "p0999")]))

    done = reindex(engine.server, files(engine), shards=1, replicas=0, progress=add)
    assert added == ["updated", "updated"]
    assert done.products == 1_000
    engine.refresh()
    assert engine.search(SearchPlan((VectorLeg("knn", "text_1", rows(1, 3)[0], 5),))).legs["knn"].ids == ("p0000", "p0999")


def ended_by_another(engine: ClusterEngine, new: str) -> None:
    copying.end_copies(engine.server.transport, new)


def slice_ended(engine: ClusterEngine, new: str) -> None:
    """What an operator does with one line of the list of tasks."""
    wanted = {"actions": "*data/write/reindex", "detailed": "true"}
    nodes = engine.server.transport.request("GET", "/_tasks", params=wanted).body["nodes"].values()
    children = [
        key for node in nodes for key, task in node["tasks"].items() if f"to [{new}]" in task["description"] and "parent_task_id" in task
    ]
    engine.server.transport.request("POST", f"/_tasks/{children[0]}/_cancel")


@pytest.mark.parametrize(("end", "params"), [(ended_by_another, {}), (slice_ended, {"slices": "2"})])
def test_a_copy_that_somebody_ends_is_not_taken_for_whole(
    engine: ClusterEngine, end: Callable[[ClusterEngine, str], None], params: dict[str, str]
) -> None:
    engine.put([write(f"p{n:03}") for n in range(200)])
    (index,) = products_indices(engine)
    new = f"{engine.server.indices.products}-000009"
    body = {"source": {"index": index, "size": 10}, "dest": {"index": new}}
    ended: list[str] = []

    def on_poll(status: Any) -> None:
        if not ended:
            ended.append(new)
            time.sleep(0.3)  # its slices are made a moment later
            end(engine, new)

    with pytest.raises(EngineUnavailable, match="was ended before it was whole"):
        copying.run_copy(engine.server.transport, body, params={"requests_per_second": "40", **params}, remedy="", on_poll=on_poll)
    assert ended


def test_shards_that_differ_in_their_changes_are_not_copied_again_under_the_block(engine: ClusterEngine) -> None:
    """One shard is empty and one has nearly all: what a shop of few products, or one with ids of one kind, has."""
    index = reindex(engine.server, files(engine), shards=4, replicas=0).new
    engine.put([write("a"), write("b")])
    for price in range(20):
        engine.put([write("a", price=float(price))])
    reached = copying.shard_changes(engine.server.transport, index)
    assert -1 in reached.values(), "no product lies there"
    assert max(reached.values()) > 15
    changed: list[str] = []

    def change(done: int, total: int) -> None:
        if not changed:
            changed.extend(result.result for result in engine.put([write("b", price=7.0)]))

    done = reindex(engine.server, files(engine), shards=2, replicas=0, progress=change)
    assert changed == ["updated"]
    assert done.copied <= 3, "each of the two once, and the one that changed meanwhile"
    engine.refresh()
    assert {document.id: document.body["price"] for document in scan_all(engine)} == {"a": 19.0, "b": 7.0}


def test_of_two_reindexes_at_once_one_gives_way(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put([write(f"p{n:04}") for n in range(500)])
    both = threading.Barrier(2)
    choose = reindexing._next_name

    def choose_together(server: Server, old: str) -> str:
        name = choose(server, old)
        both.wait(30.0)
        return name

    monkeypatch.setattr(reindexing, "_next_name", choose_together)
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(reindex(engine.server, files(engine), shards=1, replicas=0).new)
        except (EngineError, NotFoundError) as err:
            outcomes.append(type(err))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new = f"{engine.server.indices.products}-000002"
    assert sorted(map(str, outcomes)) == sorted(map(str, (ConflictError, new)))
    assert behind_aliases(engine.server.transport, engine.server.indices)[engine.server.indices.products] == new
    assert engine.status().products == 500
    assert len(read_templates(engine.server.transport, engine.server.indices)) == 2
    assert engine.put([write("b")])[0].result == "created"


def test_a_reindex_that_another_overtook_moves_no_alias(engine: ClusterEngine) -> None:
    """Each server would carry out the half of the move that it can: the alias would point to both copies."""
    engine.put([write("a")])
    (old,) = products_indices(engine)
    overtaken: list[str] = []

    def overtake(done: int, total: int) -> None:
        if not overtaken:
            overtaken.append(reindex(engine.server, files(engine), shards=1, replicas=0).new)

    with pytest.raises(ConflictError, match=f"{engine.server.indices.products} points to .*-000003"):
        reindex(engine.server, files(engine), shards=1, replicas=0, progress=overtake)
    assert behind_aliases(engine.server.transport, engine.server.indices)[engine.server.indices.products] == overtaken[0]
    assert products_indices(engine) == {old, *overtaken}
    assert engine.put([write("b")])[0].result == "created"
    late = engine.server.transport.request("PUT", f"/{old}/_doc/late", {"id": "late"}, ignore=(403,))
    assert late.status == 403  # a write that nobody would ever read


def test_what_a_reindex_made_goes_although_nobody_may_see_tasks(
    request: pytest.FixtureRequest, engine: ClusterEngine, tmp_path: Path
) -> None:
    engine.put([write("a")])
    before, templates = products_indices(engine), read_templates(engine.server.transport, engine.server.indices)
    source = Path(__file__).resolve().parents[2] / "mappings" / engine.server.dialect.product / "product-fields.json"
    own = orjson.loads(source.read_bytes())
    own["template"]["mappings"]["properties"]["title"]["fields"]["raw"] = {"type": "keyword"}
    (tmp_path / "product-fields.json").write_bytes(orjson.dumps(own))
    opener = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}[engine.name]
    with FaultyProxy(request.getfixturevalue(f"{engine.name}_url")) as proxy:
        held_up = opener(proxy.url, prefix=engine.server.indices.prefix, timeout=3.0)
        proxy.hang_on = "/_tasks?"
        with pytest.raises(EngineUnavailable, match="did not answer in time"):
            reindex(held_up.server, files(engine, tmp_path), shards=1, replicas=0)
        held_up.close()
    assert products_indices(engine) == before
    assert read_templates(engine.server.transport, engine.server.indices) == templates
    assert engine.put([write("b")])[0].result == "created"


def test_copies_that_do_not_end_are_not_waited_for_without_end(engine: ClusterEngine) -> None:
    engine.put([write(f"p{n:03}") for n in range(200)])
    (index,) = products_indices(engine)
    new = f"{engine.server.indices.products}-000009"
    transport = engine.server.transport
    body = {"source": {"index": index, "size": 10}, "dest": {"index": new}}
    transport.request("POST", f"/{index}/_refresh")
    transport.request("POST", "/_reindex", body, params={"wait_for_completion": "false", "requests_per_second": "10"})
    with pytest.raises(EngineUnavailable, match=f"{new} does not end"):
        copying.end_copies(transport, new, within=-1.0)
    copying.end_copies(transport, new)


@dataclass
class Unfinished:
    """A transport to a server that could not wait for the writes under way: what it answers then, by its documentation."""

    inner: Transport
    url: str = ""

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        reply = self.inner.request(method, path, body, **options)
        return Reply(reply.status, {**reply.body, "shards_acknowledged": False}) if path.endswith("/_block/write") else reply

    def close(self) -> None:
        self.inner.close()


def test_no_last_pass_before_the_writes_under_way_have_ended(engine: ClusterEngine) -> None:
    engine.put([write("a")])
    before = products_indices(engine)
    reached, engine.server.transport = engine.server.transport, Unfinished(engine.server.transport)
    with pytest.raises(EngineUnavailable, match="writes under way"):
        reindex(engine.server, files(engine), shards=1, replicas=0)
    engine.server.transport = reached
    assert products_indices(engine) == before
    assert engine.put([write("b")])[0].result == "created"


@dataclass
class Recording:
    """A transport that notes what is asked."""

    inner: Transport
    asked: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        self.asked.append((path, body))
        return self.inner.request(method, path, body, **options)

    def close(self) -> None:
        self.inner.close()


def test_deletions_in_the_last_moment_cost_a_look_at_their_neighbours_only(engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the block writers wait: what is done there must not grow with the catalogue."""
    ids = [*(f"p{n:04}" for n in range(1_000)), "𝄞" * 200]  # the last one is stored under a hash
    engine.put([write(id_) for id_ in ids])
    monkeypatch.setattr(copying, "IDS", 50)
    gone = ["p0007", "p0008", "p0500", ids[-1]]
    recording = Recording(engine.server.transport)
    block = reindexing._block

    def delete_then_block(server: Server, index: str) -> None:
        engine.delete(gone)
        block(server, index)
        server.transport = recording

    monkeypatch.setattr(reindexing, "_block", delete_then_block)
    done = reindex(engine.server, files(engine), shards=1, replicas=0)
    read = [body for path, body in recording.asked if path.endswith("/_search") and body.get("sort")]
    assert (done.products, done.removed) == (997, 4)
    assert len(read) <= 2 * 2 * 3, "two indices, three ranges of 50, a second page of each at most"
    engine.refresh()
    assert [document.id for document in scan_all(engine)] == [id_ for id_ in ids if id_ not in gone]
