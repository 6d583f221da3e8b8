"""A shop's index copied into one with ``index.knn`` on a real OpenSearch: nothing lost, nothing left behind, a way back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.attach import guided_reindex
from hybrid_search.attach.check import in_place
from hybrid_search.attach.guided_reindex import plan_reindex, run_reindex
from hybrid_search.attach.source import describe
from hybrid_search.cli.main import app
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import EngineError, EngineUnavailable
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
    assert copy["mappings"] == told["mappings"]
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
def test_nothing_that_was_acknowledged_during_the_copy_is_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer changes, deletes and makes documents all the while, some of them deleted and made again; the block it meets is an error to it."""
    monkeypatch.setattr(guided_reindex, "SMALL", 3)  # as where more is written than fits under the block
    monkeypatch.setattr(guided_reindex, "PASSES", 5)
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
    assert refused and done.passes == 6


class Ending:
    """The server's transport; a request to a path that holds ``at`` raises instead."""

    def __init__(self, transport: Any, at: str, error: Callable[[], BaseException]) -> None:
        self._transport, self._at, self._error, self.url = transport, at, error, transport.url
        self.met = False

    def request(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        if self._at in path and not self.met:
            self.met = True
            raise self._error()
        return self._transport.request(method, path, *args, **more)

    def close(self) -> None: ...


@on_opensearch
@pytest.mark.parametrize("at", ["_tasks/", "/_block/write", "/_count", "/_aliases"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, lambda: EngineUnavailable("The server went away.")], ids=["interrupt", "outage"])
def test_what_ends_early_leaves_nothing(server: Server, at: str, error: Callable[[], BaseException]) -> None:
    index = server.make(MAGENTO)
    alias = alias_of(server, index)
    before = server.transport.request("GET", f"/{index}").body
    plan = plan_reindex(server.transport, alias)
    ending = Ending(server.transport, at, error)
    with pytest.raises((KeyboardInterrupt, EngineUnavailable)):
        run_reindex(ending, plan)
    assert ending.met
    assert list(server.transport.request("GET", f"/{server.prefix}-*").body) == [index]
    assert server.transport.request("GET", f"/{index}").body == before
    server.write(alias, [MAGENTO.document(1)])


@on_opensearch
def test_a_document_that_cannot_be_copied_is_named_and_nothing_is_left(server: Server) -> None:
    index = server.make(MAGENTO, count=3)
    server.write(index, [("wide", {"store_id": 700})])
    alias = alias_of(server, index)
    plan = replace(plan_reindex(server.transport, alias), mapping={"dynamic": "false", "properties": {"store_id": {"type": "byte"}}})
    with pytest.raises(ServerError, match=r"'wide'.*store_id.*700.*\. Correct or delete"):
        run_reindex(server.transport, plan)
    assert list(server.transport.request("GET", f"/{server.prefix}-*").body) == [index]


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
