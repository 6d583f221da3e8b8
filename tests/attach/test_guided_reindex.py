"""A shop's index copied into one with ``index.knn`` on a real OpenSearch: nothing lost, nothing left behind, a way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.attach import index_copy
from hybrid_search.attach.check import in_place
from hybrid_search.attach.copy_mark import CopyMark, mark_of, unmarked
from hybrid_search.attach.guided_reindex import _make, discard_unfinished, go_back, run_reindex
from hybrid_search.attach.reindex_plan import plan_reindex
from hybrid_search.attach.source import describe
from hybrid_search.cli.main import app
from hybrid_search.engines.cluster.copying import end_copies
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import ConflictError, EngineError, EngineUnavailable
from tests.attach.conftest import PRODUCTS, Server
from tests.attach.shops import COUNT, SHOPS

MAGENTO = SHOPS["magento"]
on_opensearch = pytest.mark.parametrize("server", PRODUCTS[:1], indirect=True)


def documents(server: Server, index: str) -> dict[str, tuple[int, Any]]:
    """Version and content of every document."""
    server.transport.request("POST", f"/{index}/_refresh")
    found = server.transport.request("POST", f"/{index}/_search", {"size": 10_000, "version": True}).body["hits"]["hits"]
    return {hit["_id"]: (hit["_version"], hit["_source"]) for hit in found}


def alias_of(server: Server, index: str, **given: Any) -> str:
    alias = f"{server.prefix}-shop"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": alias, **given}}]})
    return alias


def attach_file(server: Server, index: str, folder: Path) -> Path:
    path = folder / "attach.toml"
    path.write_text(
        f'[source]\nurl = "{server.url}"\nindex = "{index}"\nengine = "{server.product}"\n[fields]\nid = "_id"\ntitle = "name"\n'
    )
    return path


def command(*words: object) -> Any:
    done = CliRunner().invoke(app, ["attach", "reindex", "--yes", *map(str, words)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


@on_opensearch
def test_an_alias_is_moved_to_a_copy_that_can_hold_vectors_and_back(server: Server, tmp_path: Path) -> None:
    index = server.make(MAGENTO)
    server.write(index, [MAGENTO.document(4)])  # a second version
    theirs = {"index.refresh_interval": "7s", "index.max_result_window": 20_000, "index.search.slowlog.threshold.query.warn": "2s"}
    server.transport.request("PUT", f"/{index}/_settings", theirs)
    alias = alias_of(server, index, filter={"term": {"store_id": 1}}, is_write_index=True)
    other = f"{alias}-all"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": other}}]})
    before, told = documents(server, index), server.transport.request("GET", f"/{index}").body[index]
    path = attach_file(server, alias, tmp_path)

    done = orjson.loads(command("--config", path, "--json").stdout)

    new = f"{index}-knn"
    assert (done["new"], done["documents"], done["compared"], done["moved"]) == (new, COUNT, COUNT, [alias, other])
    assert documents(server, new) == before
    copy = server.transport.request("GET", f"/{new}").body[new]
    assert unmarked(copy["mappings"]) == told["mappings"]
    assert copy["aliases"] == told["aliases"]
    assert not server.transport.request("GET", f"/{index}").body[index]["aliases"]
    made_by_the_server = {"uuid", "creation_date", "provided_name", "version"}
    was, became = ({k: v for k, v in one["settings"]["index"].items() if k not in made_by_the_server} for one in (told, copy))
    whole_documents = {} if describe(server.transport, new).version.startswith("2.") else {"knn.derived_source": {"enabled": "false"}}
    assert became == was | {"knn": "true"} | whole_documents
    assert in_place(describe(server.transport, alias)) == ""
    with pytest.raises(ServerError, match="blocked"):  # whoever goes by its own name is told
        server.transport.request("PUT", f"/{index}/_doc/1004", {"name": "late"})
    server.write(alias, [MAGENTO.document(5)])

    command("--config", path, "--back", index)
    assert describe(server.transport, alias).name == describe(server.transport, other).name == index
    server.write(alias, [MAGENTO.document(4)])
    assert documents(server, index)["1004"][0] == before["1004"][0] + 1


@on_opensearch
def test_the_way_back_is_only_to_the_index_that_was_copied(server: Server, tmp_path: Path) -> None:
    index, other = server.make(MAGENTO), server.make(MAGENTO, name="other", count=1)
    alias = alias_of(server, index)
    path = attach_file(server, alias, tmp_path)
    with pytest.raises(ConflictError, match="no copy that attach reindex made"):
        go_back(server.transport, alias, other)
    command("--config", path)
    refused = CliRunner().invoke(app, ["attach", "reindex", "--yes", "--config", str(path), "--back", other])
    assert isinstance(refused.exception, ConflictError) and f"a copy of '{index}'" in str(refused.exception)
    assert describe(server.transport, alias).name == f"{index}-knn"
    server.transport.request("DELETE", f"/{index}")
    server.make(MAGENTO, count=1)  # by the same name
    with pytest.raises(ConflictError, match="as it is now"):
        go_back(server.transport, alias, index)
    assert describe(server.transport, alias).name == f"{index}-knn"


@on_opensearch
def test_a_copy_that_a_killed_run_left_is_named_and_removed_when_asked(server: Server, tmp_path: Path) -> None:
    index = server.make(MAGENTO, count=5)
    alias = alias_of(server, index)
    path = attach_file(server, alias, tmp_path)
    _make(server.transport, plan_reindex(server.transport, alias))  # as far as it had come
    again = CliRunner().invoke(app, ["attach", "reindex", "--yes", "--config", str(path)])
    assert isinstance(again.exception, ConflictError) and "unfinished copy" in str(again.exception) and "--restart" in str(again.exception)
    command("--config", path, "--restart")
    assert describe(server.transport, alias).name == f"{index}-knn"
    command("--config", path, "--back", index)
    with pytest.raises(ConflictError, match="no unfinished copy"):  # a finished one is not removed
        discard_unfinished(server.transport, alias)
    assert describe(server.transport, f"{index}-knn").documents == 5


@on_opensearch
def test_a_mapping_with_notes_of_theirs_keeps_them(server: Server) -> None:
    index = server.make(MAGENTO, count=5)
    server.transport.request("PUT", f"/{index}/_mapping", {"_meta": {"owner": "shop"}})
    done = run_reindex(server.transport, plan_reindex(server.transport, alias_of(server, index)))
    mapping = server.transport.request("GET", f"/{done.new}/_mapping").body[done.new]["mappings"]
    assert unmarked(mapping)["_meta"] == {"owner": "shop"}
    assert mark_of(server.transport, done.new) == CopyMark(index, describe(server.transport, index).uuid, True)


@on_opensearch
def test_nothing_that_was_acknowledged_during_the_copy_is_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer changes, deletes and makes documents all the while, some of them deleted and made again; the block it meets is an error to it."""
    monkeypatch.setattr(index_copy, "SMALL", 3)  # as where more is written than fits under the block
    monkeypatch.setattr(index_copy, "PASSES", 5)
    index = server.make(MAGENTO, count=700)
    alias = alias_of(server, index)
    acknowledged: dict[str, Any] = {}
    refused = 0
    stop = threading.Event()

    def write() -> None:
        nonlocal refused
        round_ = 0
        while not stop.is_set():
            id_ = f"{1000 + round_ % 100}"
            body = {"name": f"round {round_}"}
            try:
                if round_ % 3 == 0:
                    server.transport.request("DELETE", f"/{alias}/_doc/{id_}", ignore=(404,))
                    acknowledged[id_] = None
                else:
                    server.transport.request("PUT", f"/{alias}/_doc/{id_}", body)
                    acknowledged[id_] = body
            except EngineError:
                refused += 1
            round_ += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = run_reindex(server.transport, plan_reindex(server.transport, alias))
    finally:
        stop.set()
        writer.join()
    assert done.new == describe(server.transport, alias).name
    found = documents(server, alias)
    assert len(acknowledged) == 100
    assert {id_: found.get(id_, (0, None))[1] for id_ in acknowledged} == acknowledged
    assert len(found) == 700 - sum(body is None for body in acknowledged.values())
    assert refused and done.passes == 5 + 5 + 1


class Meanwhile:
    """The server's transport; before the first request that holds one of ``events``, what it stands for happens. ``asked`` are all requests."""

    def __init__(self, transport: Any, events: dict[str, Callable[[], Any]]) -> None:
        self._transport, self._events, self.url = transport, dict(events), transport.url
        self.asked: list[str] = []

    def request(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        asked = f"{method} {path}"
        self.asked.append(asked)
        for part in [part for part in self._events if part in asked]:
            self._events.pop(part)()
        return self._transport.request(method, path, *args, **more)

    def met_all(self) -> bool:
        return not self._events

    def close(self) -> None: ...


class Twice:
    """The server's transport where the answers to requests that hold ``part`` are lost ``times`` times: it sends them again, as a client does."""

    def __init__(self, transport: Any, part: str, times: int = 1) -> None:
        self._transport, self._part, self._left, self.url = transport, part, times, transport.url

    def request(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        if self._part in path and self._left:
            self._left -= 1
            self._transport.request(method, path, *args, **more)
        return self._transport.request(method, path, *args, **more)

    def close(self) -> None: ...


def raising(error: Callable[[], BaseException]) -> Callable[[], NoReturn]:
    def happen() -> NoReturn:
        raise error()

    return happen


def went_away() -> BaseException:
    return EngineUnavailable("The server went away.")


def sharded(server: Server, settings: Mapping[str, Any] | None = None, *, shards: int = 2) -> str:
    index = f"{server.prefix}-sharded"
    given = {"index.number_of_shards": shards, "index.number_of_replicas": 0, **(settings or {})}
    server.transport.request("PUT", f"/{index}", {"settings": given, "mappings": {"properties": {"n": {"type": "long"}}}})
    return index


def put(server: Server, index: str, id_: str, body: dict[str, Any], **params: Any) -> int:
    """Returns the document's version."""
    given = {name: str(value) for name, value in params.items()}
    return int(server.transport.request("PUT", f"/{index}/_doc/{id_}", body, params=given).body["_version"])


def written(server: Server, index: str) -> int:
    """Operations that indexed a document."""
    return int(server.transport.request("GET", f"/{index}/_stats/indexing").body["_all"]["primaries"]["indexing"]["index_total"])


def only(server: Server, *names: str) -> bool:
    return sorted(server.transport.request("GET", f"/{server.prefix}-*").body) == sorted(names)


@on_opensearch
@pytest.mark.parametrize("at", ["_tasks/", "/_block/write", "/_count", "/_aliases"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, went_away], ids=["interrupt", "outage"])
def test_what_ends_early_leaves_nothing(server: Server, at: str, error: Callable[[], BaseException]) -> None:
    index = server.make(MAGENTO)
    alias = alias_of(server, index)
    before = server.transport.request("GET", f"/{index}").body
    plan = plan_reindex(server.transport, alias)
    ending = Meanwhile(server.transport, {at: raising(error)})
    with pytest.raises((KeyboardInterrupt, EngineUnavailable)):
        run_reindex(ending, plan)
    assert ending.met_all()
    assert only(server, index)
    assert server.transport.request("GET", f"/{index}").body == before
    server.write(alias, [MAGENTO.document(1)])


@on_opensearch
def test_the_command_says_what_an_interrupt_left(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = server.make(MAGENTO)
    path = attach_file(server, alias_of(server, index), tmp_path)
    really = time.sleep

    def interrupt(seconds: float) -> None:
        monkeypatch.setattr(time, "sleep", really)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    done = CliRunner().invoke(app, ["attach", "reindex", "--yes", "--config", str(path)])
    assert f"stopped: the copy {index}-knn was removed again, {index} takes writes as before, and no alias was moved." in done.output
    assert only(server, index)


@on_opensearch
def test_the_copy_goes_even_where_the_old_index_cannot_be_opened_again(server: Server) -> None:
    alias = alias_of(server, index := server.make(MAGENTO, count=3))
    ending = Meanwhile(server.transport, {"/_block/write": raising(went_away), f"/{index}/_settings": raising(went_away)})
    with pytest.raises(EngineUnavailable):
        run_reindex(ending, plan_reindex(server.transport, alias))
    assert ending.met_all()
    assert only(server, index)


@on_opensearch
def test_a_copy_that_does_not_end_is_not_waited_for_forever(server: Server) -> None:
    """Its cancellation is asked for and never reaches the server."""

    class Deaf(Meanwhile):
        def request(self, method: str, path: str, *args: Any, **more: Any) -> Any:
            return None if path.endswith("/_cancel") else super().request(method, path, *args, **more)

    index, new = server.make(MAGENTO, count=40), f"{server.prefix}-copy"
    body = {"source": {"index": index, "size": 1}, "dest": {"index": new}}
    slow = {"wait_for_completion": "false", "requests_per_second": "1"}
    task = server.transport.request("POST", "/_reindex", body, params=slow).body["task"]
    try:
        with pytest.raises(EngineUnavailable, match=f"{new} does not end.*_tasks"):
            end_copies(Deaf(server.transport, {}), new, within=0.5)
    finally:
        end_copies(server.transport, new)
    assert server.transport.request("GET", f"/_tasks/{task}").body["completed"]


@on_opensearch
def test_a_document_that_cannot_be_copied_is_named_and_nothing_is_left(server: Server) -> None:
    index = f"{server.prefix}-parts"
    settings = {"index.number_of_replicas": 0, "index.mapping.nested_objects.limit": 10}
    server.transport.request("PUT", f"/{index}", {"settings": settings, "mappings": {"properties": {"parts": {"type": "nested"}}}})
    server.write(index, [("slim", {"parts": [{"n": 1}]}), ("wide", {"parts": [{"n": n} for n in range(3)]})])
    server.transport.request("PUT", f"/{index}/_settings", {"index.mapping.nested_objects.limit": 2})
    alias = alias_of(server, index)
    with pytest.raises(ServerError, match=r"'wide'.*nested documents.*\. Correct or delete"):
        run_reindex(server.transport, plan_reindex(server.transport, alias))
    assert only(server, index)


@on_opensearch
def test_versions_that_the_shop_gives_go_on_in_the_copy(server: Server) -> None:
    index = sharded(server)
    for n in range(20):  # uneven: 12 in one shard, 8 in the other
        put(server, index, str(n), {"n": n}, version=5, version_type="external")
    alias = alias_of(server, index)
    done = run_reindex(server.transport, plan_reindex(server.transport, alias))
    assert {version for version, _ in documents(server, alias).values()} == {5}
    assert written(server, done.new) == 20
    assert put(server, alias, "7", {"n": 70}, version=6, version_type="external") == 6


@on_opensearch
def test_a_shard_that_holds_nothing_costs_no_second_copy(server: Server) -> None:
    index = sharded(server)
    for n in range(20):
        put(server, index, str(n), {"n": n}, routing="a")
    alias = alias_of(server, index)

    def write() -> None:
        put(server, index, "late", {"n": 99}, routing="a")
        put(server, index, "elsewhere", {"n": 100}, routing="b")

    done = run_reindex(Meanwhile(server.transport, {"/_block/write": write}), plan_reindex(server.transport, alias))
    shards = server.transport.request("GET", f"/_cat/shards/{done.new}", params={"format": "json", "h": "docs"}).body
    assert sorted(int(shard["docs"]) for shard in shards) == [1, 21]
    assert written(server, done.new) == 22


@on_opensearch
@pytest.mark.parametrize("after", ["/_cluster/health", "/_block/write"])
def test_a_document_made_anew_with_a_lower_version_is_copied_with_it(server: Server, after: str) -> None:
    index = sharded(server, {"index.gc_deletes": "0s"})
    for n in range(20):
        put(server, index, str(n), {"n": n}, version=5, version_type="external")
    alias = alias_of(server, index)

    def make_anew() -> None:
        server.transport.request("DELETE", f"/{index}/_doc/3", params={"version": "6", "version_type": "external"})
        time.sleep(0.5)
        server.transport.request("POST", f"/{index}/_refresh")
        assert put(server, index, "3", {"n": 33}) == 1
        put(server, index, "4", {"n": 44}, version=6, version_type="external")

    meanwhile = Meanwhile(server.transport, {after: make_anew})
    run_reindex(meanwhile, plan_reindex(server.transport, alias))
    assert meanwhile.met_all()
    found = documents(server, alias)
    assert (found.pop("3"), found.pop("4")) == ((1, {"n": 33}), (6, {"n": 44}))
    assert {version for version, _ in found.values()} == {5}


@on_opensearch
def test_documents_go_through_no_pipeline_again_and_later_ones_do(server: Server) -> None:
    pipeline = f"{server.prefix}-seen"
    server.transport.request("PUT", f"/_ingest/pipeline/{pipeline}", {"processors": [{"append": {"field": "seen", "value": ["once"]}}]})
    try:
        index = sharded(server, {"index.final_pipeline": pipeline}, shards=1)
        put(server, index, "early", {"n": 1})
        alias = alias_of(server, index)
        meanwhile = Meanwhile(server.transport, {"/_block/write": lambda: put(server, index, "late", {"n": 2})})
        run_reindex(meanwhile, plan_reindex(server.transport, alias))
        put(server, alias, "after", {"n": 3})
        found = {id_: body for id_, (_, body) in documents(server, alias).items()}
        assert found == {id_: {"n": n, "seen": ["once"]} for n, id_ in enumerate(("early", "late", "after"), 1)}
    finally:
        server.transport.request("DELETE", f"/{server.prefix}-*")
        server.transport.request("DELETE", f"/_ingest/pipeline/{pipeline}")


@on_opensearch
def test_under_the_block_only_the_last_changes_are_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_copy, "SMALL", 3)
    monkeypatch.setattr(index_copy, "IDS", 50)
    index = server.make(MAGENTO, count=700)
    alias = alias_of(server, index)
    plan = plan_reindex(server.transport, alias)

    def write() -> None:  # while the shards of the copy are set up
        server.write(index, [MAGENTO.document(n) for n in range(30)])
        server.transport.request("DELETE", f"/{index}/_doc/1100")

    before_the_block = 0

    def delete() -> None:
        nonlocal before_the_block
        before_the_block = written(server, plan.new)
        server.transport.request("DELETE", f"/{index}/_doc/1200")
        server.write(index, [MAGENTO.document(5)])

    meanwhile = Meanwhile(server.transport, {"/_cluster/health": write, "/_block/write": delete})
    done = run_reindex(meanwhile, plan)
    assert documents(server, done.new) == documents(server, index)
    assert (done.documents, done.removed) == (698, 2)
    assert (before_the_block, written(server, done.new)) == (730, 731)
    blocked = meanwhile.asked[meanwhile.asked.index(f"PUT /{index}/_block/write") :]
    assert not [asked for asked in blocked if "point_in_time" in asked]  # nobody reads all ids


@on_opensearch
def test_what_was_made_and_deleted_since_the_ids_were_read_is_not_in_the_copy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_copy, "SMALL", 0)
    alias = alias_of(server, index := server.make(MAGENTO, count=30))
    copied = []

    def delete() -> None:
        plan_new = f"{index}-knn"
        server.transport.request("POST", f"/{plan_new}/_refresh")
        copied.append(server.transport.request("HEAD", f"/{plan_new}/_doc/late", ignore=(404,)).ok)
        server.transport.request("DELETE", f"/{index}/_doc/late")

    events = {"DELETE /_search/point_in_time": lambda: put(server, index, "late", {"name": "late"}), "/_block/write": delete}
    done = run_reindex(Meanwhile(server.transport, events), plan_reindex(server.transport, alias))
    assert copied == [True]
    assert (done.documents, done.removed, len(documents(server, alias))) == (30, 1, 30)


@on_opensearch
def test_aliases_and_fields_that_change_during_the_copy_come_along(server: Server) -> None:
    index = server.make(MAGENTO, count=30)
    alias = alias_of(server, index)
    added, removed = f"{alias}-added", f"{alias}-removed"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": removed}}]})
    plan = plan_reindex(server.transport, alias)

    def change() -> None:
        actions = [{"add": {"index": index, "alias": added, "routing": "a"}}, {"remove": {"index": index, "alias": removed}}]
        server.transport.request("POST", "/_aliases", {"actions": actions})
        server.transport.request("PUT", f"/{index}/_mapping", {"properties": {"later": {"type": "keyword"}}})

    done = run_reindex(Meanwhile(server.transport, {"/_block/write": change}), plan)
    told = server.transport.request("GET", f"/{server.prefix}-*").body
    assert unmarked(told[done.new]["mappings"]) == told[index]["mappings"]
    assert told[done.new]["mappings"]["properties"]["later"] == {"type": "keyword"}
    assert told[done.new]["aliases"] == {alias: {}, added: {"index_routing": "a", "search_routing": "a"}}
    assert told[index]["aliases"] == {}
    assert done.moved == (alias, added)


@on_opensearch
def test_an_alias_that_moved_elsewhere_during_the_copy_is_left_there(server: Server) -> None:
    index, other = server.make(MAGENTO, count=3), server.make(MAGENTO, count=1, name="nightly")
    alias = alias_of(server, index)
    swap = [{"remove": {"index": index, "alias": alias}}, {"add": {"index": other, "alias": alias}}]
    meanwhile = Meanwhile(server.transport, {"/_block/write": lambda: server.transport.request("POST", "/_aliases", {"actions": swap})})
    with pytest.raises(ConflictError, match=f"{alias}.*not stand for.*again"):
        run_reindex(meanwhile, plan_reindex(server.transport, alias))
    assert describe(server.transport, alias).name == other
    assert only(server, index, other)
    server.write(index, [MAGENTO.document(1)])


@on_opensearch
@pytest.mark.parametrize("lost", ["/_aliases", "/_block/write"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_lost_answer_is_no_failure(server: Server, lost: str, replaced: bool) -> None:
    index = server.make(MAGENTO, count=3)
    asked = index if replaced else alias_of(server, index)
    done = run_reindex(Twice(server.transport, lost), plan_reindex(server.transport, asked, replace=replaced))
    assert describe(server.transport, asked).name == done.new
    assert done.moved == (asked,)
    server.write(asked, [MAGENTO.document(1)])


@on_opensearch
def test_writes_that_may_be_under_way_end_the_copy(server: Server) -> None:
    alias = alias_of(server, index := server.make(MAGENTO, count=3))
    with pytest.raises(EngineError, match="no write.*under way.*again"):
        run_reindex(Twice(server.transport, "/_block/write", times=100), plan_reindex(server.transport, alias))
    assert only(server, index)
    server.write(index, [MAGENTO.document(1)])


@on_opensearch
def test_an_index_that_its_shop_closed_to_writes_is_copied(server: Server) -> None:
    alias = alias_of(server, index := server.make(MAGENTO, count=3))
    server.transport.request("PUT", f"/{index}/_settings", {"index.blocks.write": True})
    done = run_reindex(server.transport, plan_reindex(server.transport, alias))
    assert (done.documents, describe(server.transport, alias).name) == (3, done.new)


@on_opensearch
def test_an_index_that_is_no_alias_stays_in_use_unless_its_replacement_is_asked_for(server: Server, tmp_path: Path) -> None:
    index = server.make(MAGENTO)
    path = attach_file(server, index, tmp_path)
    before = documents(server, index)
    done = command("--config", path, "--name", f"{server.prefix}-copy")
    assert "no alias" in done.output and "--back" not in done.output
    assert documents(server, f"{server.prefix}-copy") == before
    server.write(index, [MAGENTO.document(1)])
    before = documents(server, index)
    other = alias_of(server, index)

    command("--config", path, "--replace", "--name", f"{server.prefix}-second")
    held = server.transport.request("GET", f"/{server.prefix}-*").body
    assert sorted(held) == [f"{server.prefix}-copy", f"{server.prefix}-second"]
    assert sorted(held[f"{server.prefix}-second"]["aliases"]) == sorted([index, other])
    assert documents(server, index) == before
    server.write(index, [MAGENTO.document(1)])


@on_opensearch
def test_what_cannot_be_copied_whole_is_refused_before_anything_is_made(server: Server) -> None:
    def refused(index: str, why: str, **more: Any) -> None:
        with pytest.raises(EngineError, match=why):
            plan_reindex(server.transport, index, **more)

    refused(server.make(SHOPS["nested"], count=1), "index.knn.*true already")
    index = server.make(MAGENTO, count=1)
    refused(index, "already.*--name", name=index)
    template = f"{server.prefix}-template"
    body = {"index_patterns": [f"{server.prefix}-*-knn"], "priority": 9_000, "template": {"aliases": {f"{server.prefix}-all": {}}}}
    server.transport.request("PUT", f"/_index_template/{template}", body)
    try:
        refused(index, "template.*alias.*--name")
    finally:
        server.transport.request("DELETE", f"/_index_template/{template}")
    partial, vectors = f"{server.prefix}-partial", f"{server.prefix}-vectors"
    server.transport.request("PUT", f"/{partial}", {"mappings": {"_source": {"excludes": ["secret"]}}})
    refused(partial, "_source.excludes")
    server.transport.request("PUT", f"/{vectors}", {"mappings": {"properties": {"seen": {"type": "knn_vector", "dimension": 3}}}})
    refused(vectors, "vector fields .seen")


@pytest.mark.parametrize("server", PRODUCTS[1:], indirect=True)
def test_elasticsearch_needs_no_copy(server: Server) -> None:
    with pytest.raises(EngineError, match="no copy is needed.*in-place"):
        plan_reindex(server.transport, server.make(MAGENTO, count=1))
