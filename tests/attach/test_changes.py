"""Change records on every engine, and what they are for: two processes that apply changes of one product at once."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_search.attach.changes import apply_changes
from hybrid_search.attach.connect import find_product
from hybrid_search.engines.changes import LARGEST_VERSION, ChangeRecord, ChangeStore
from hybrid_search.engines.cluster.change_records import ClusterChanges
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.embedded.changes import EmbeddedChanges
from hybrid_search.settings import load_settings
from tests.attach.conftest import PRODUCTS
from tests.indexing_parts import DrawnPictures


@pytest.fixture(params=["embedded", *PRODUCTS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChangeStore]:
    if request.param == "embedded":
        local = EmbeddedChanges(tmp_path)
        yield local
        local.close()
        return
    transport, _ = find_product(load_settings(), request.getfixturevalue(f"{request.param}_url"))
    prefix = f"changestest-{secrets.token_hex(4)}"
    yield ClusterChanges(transport, prefix)
    transport.request("DELETE", f"/{prefix}-changes", ignore=(404,))
    transport.close()


def put(id_: str, version: int, **body: Any) -> ChangeRecord:
    return ChangeRecord(id_, version, {"id": id_, "title": f"version {version}", **body})


def test_only_a_greater_version_is_kept(store: ChangeStore) -> None:
    assert store.advance([put("a", 5), put("b", 1)]) == [True, True]
    assert store.advance([put("a", 5), put("a", 4), put("b", 2)]) == [False, False, True]
    assert store.newest(["b", "none", "a"]) == [put("b", 2), None, put("a", 5)]


def test_tombstones_are_records(store: ChangeStore) -> None:
    assert store.advance([ChangeRecord("a", 7, None)]) == [True]
    assert store.advance([put("a", 6)]) == [False]
    assert store.newest(["a"]) == [ChangeRecord("a", 7, None)]
    assert store.advance([put("a", 8)]) == [True]


def test_odd_ids_and_the_largest_version(store: ChangeStore) -> None:
    ids = ["a/b c", "é" * 256, "红", "x" * 256]
    assert store.advance([put(id_, LARGEST_VERSION) for id_ in ids]) == [True] * 4
    assert [record.version if record else None for record in store.newest(ids)] == [LARGEST_VERSION] * 4
    assert store.advance([put("zero", 0)]) == [True]


class Slow:
    """An engine whose writes come at any moment after they were asked for, as those of several processes do."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    def put(self, writes: Any, **more: Any) -> Any:
        threading.Event().wait(random.random() * 0.004)
        return self._engine.put(writes, **more)

    def delete(self, ids: Any, **more: Any) -> Any:
        threading.Event().wait(random.random() * 0.004)
        return self._engine.delete(ids, **more)


def test_whoever_writes_last_the_greatest_version_stays(store: ChangeStore, tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "home", index=False)
    ids = [f"p{n}" for n in range(6)]
    versions = [(id_, version) for id_ in ids for version in range(1, 13)]
    shuffled = [random.Random(seed).sample(versions, len(versions)) for seed in range(4)]

    def feed(order: list[tuple[str, int]]) -> None:
        for id_, version in order:
            change = ChangeRecord(id_, version, None) if version == 12 and id_ in ("p0", "p1") else put(id_, version)
            apply_changes(Slow(engine), store, [change], DrawnPictures())  # type: ignore[arg-type]

    threads = [threading.Thread(target=feed, args=(order,)) for order in shuffled]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    titles = [document.body["title"] if document else None for document in engine.fetch(ids)]
    engine.close()
    assert titles == [None, None, *["version 12"] * 4]


def test_a_writer_that_was_overtaken_before_its_write_puts_the_newer_one_back(store: ChangeStore, tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "home", index=False)

    class Overtaken(Slow):
        """Between its look at the records and its write another process does all of version 2."""

        done = False

        def put(self, writes: Any, **more: Any) -> Any:
            if not self.done:
                self.done = True
                apply_changes(engine, store, [put("a", 2)], DrawnPictures())
            return engine.put(writes, **more)

    apply_changes(Overtaken(engine), store, [put("a", 1)], DrawnPictures())  # type: ignore[arg-type]
    (found,) = engine.fetch(["a"])
    engine.close()
    assert found is not None and found.body["title"] == "version 2"


def test_what_a_dead_process_left_half_done_is_finished_by_the_next_change(store: ChangeStore, tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "home", index=False)
    store.advance([put("a", 5)])  # kept; the process died before it wrote the product
    assert engine.fetch(["a"]) == [None]
    (result,) = apply_changes(engine, store, [put("a", 5)], DrawnPictures())  # its sender got no answer and sends again
    assert result.result == "stale"
    (found,) = engine.fetch(["a"])
    engine.close()
    assert found is not None and found.body["title"] == "version 5"
