"""The embedded engine with real processes: killed at any moment, taking over from one another, derived files removed under them."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import pytest

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import AllLeg, EngineReply, FacetRequest, KeywordLeg, SearchPlan, Terms, VectorLeg
from tests.integration.embedded_child import PRODUCTS, SPACE, vector_of, version_of, write_version

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A started ``embedded_child`` and the lines it printed."""

    def __init__(self, role: str, folder: Path, first: int = 0) -> None:
        command = [sys.executable, "-m", "tests.integration.embedded_child", role, str(folder), str(first)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._lines: Queue[str] = Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        assert self._lines.get(timeout=60) == "up"

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.strip())

    def line(self) -> str:
        return self._lines.get(timeout=60)

    def kill(self) -> list[str]:
        """``kill -9``; returns what it had printed since the last look."""
        self._process.kill()
        self._process.wait()
        self._reading.join()  # what is left in the pipe
        lines = []
        while True:
            try:
                lines.append(self._lines.get_nowait())
            except Empty:
                return lines


@contextmanager
def opened(folder: Path, *, index: bool) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(folder, index=index)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def running(role: str, folder: Path) -> Iterator[Child]:
    child = Child(role, folder)
    try:
        yield child
    finally:
        child.kill()


def all_scores(engine: EmbeddedEngine, version: int) -> list[tuple[tuple[str, ...], list[float]]]:
    """Hits and scores of some keyword and vector queries, over everything."""
    words = ["filler", f"thing7 version{version}", "thing1 thing2 filler"]
    fields = {"title": 1.0, "brand": 0.5, "all": 0.3}
    legs = [KeywordLeg("leg", text, fields, "1", PRODUCTS) for text in words]
    plans = [SearchPlan((leg,)) for leg in legs] + [SearchPlan((VectorLeg("leg", SPACE.key, vector_of(3, version), PRODUCTS),))]
    return [(reply.legs["leg"].ids, reply.legs["leg"].scores.tolist()) for reply in map(engine.search, plans)]


def assert_whole(reply: EngineReply) -> None:
    """Every product found by the words of a version has that version in its columns too."""
    brands = {bucket.value: bucket.count for bucket in reply.facets[0].buckets}
    assert len(brands) <= 1
    assert sum(brands.values()) == reply.total


@pytest.mark.slow
def test_kill_9_of_any_process_at_any_moment_loses_no_acknowledged_write(tmp_path: Path) -> None:
    rng = random.Random(5)
    acknowledged = -1
    with opened(tmp_path, index=False) as reader:
        reader.add_space(SPACE)
        children = {"indexer": Child("indexer", tmp_path), "writer": Child("writer", tmp_path, 0)}
        for _ in range(20):
            time.sleep(rng.uniform(0.0, 0.4))
            role = rng.choice(["indexer", "writer"])
            lines = children[role].kill()
            if role == "writer" and lines:
                acknowledged = int(lines[-1])
            stored = {document.body["brand"] for document in reader.fetch([f"p{n:03}" for n in range(PRODUCTS)]) if document is not None}
            if acknowledged >= 0:
                assert len(stored) == 1  # a batch is one transaction
                assert int(stored.pop().removeprefix("version")) >= acknowledged
            children[role] = Child(role, tmp_path, acknowledged + 1)
        lines = children["writer"].kill()
        acknowledged = int(lines[-1]) if lines else acknowledged
        assert acknowledged > 20
        write_version(reader, acknowledged + 1)
        reader.refresh()
        after_kills = all_scores(reader, acknowledged + 1)
        children["indexer"].kill()
    shutil.rmtree(tmp_path / "derived")
    with opened(tmp_path, index=True) as fresh:
        fresh.refresh()
        assert all_scores(fresh, acknowledged + 1) == after_kills


def test_another_process_takes_over_when_the_indexer_dies(tmp_path: Path) -> None:
    with running("indexer", tmp_path) as first, opened(tmp_path, index=True) as second:
        write_one(second, 1)
        second.refresh()
        first.kill()
        write_one(second, 2)
        second.refresh()
        assert found(second, 2) == ("p000",)


def test_derived_files_may_vanish_while_serving(tmp_path: Path) -> None:
    with running("indexer", tmp_path), opened(tmp_path, index=False) as reader:
        write_one(reader, 1)
        reader.refresh()
        shutil.rmtree(tmp_path / "derived")
        assert found(reader, 1) == ("p000",)
        write_one(reader, 2)
        reader.refresh()
        assert (found(reader, 1), found(reader, 2)) == ((), ("p000",))
        assert (tmp_path / "derived" / "manifest.json").exists()


def test_a_search_during_writes_sees_each_product_whole_or_not_at_all(tmp_path: Path) -> None:
    total, batch = 10_000, 500
    with running("indexer", tmp_path), opened(tmp_path, index=False) as reader:
        reader.refresh()
        searches = 0

        def write_all() -> None:
            for version in (1, 2):
                for start in range(0, total, batch):
                    reader.put([ProductWrite(version_of(n, version), {}) for n in range(start, start + batch)])

        writing = threading.Thread(target=write_all)
        writing.start()
        while writing.is_alive():
            for version in (1, 2):
                plan = SearchPlan((KeywordLeg("leg", f"version{version}", {"title": 1.0}, "1", 10),), facets=(FacetRequest("brand"),))
                assert_whole(reader.search(plan))
                crossed = SearchPlan(
                    (KeywordLeg("leg", f"version{version}", {"all": 1.0}, "1", 10),), (Terms("brand", (f"version{3 - version}",)),)
                )
                assert reader.search(crossed).total == 0
                searches += 1
        writing.join()
        reader.refresh()
        everything = reader.search(SearchPlan((AllLeg("all", 1), KeywordLeg("leg", "version2", {"title": 1.0}, "1", 1))))
        assert (everything.total, searches > 10) == (total, True)


def test_after_10_000_updates_two_processes_give_the_scores_of_a_fresh_build(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    with running("indexer", home), opened(home, index=False) as one, opened(home, index=False) as other:
        one.add_space(SPACE)
        for version in range(250):
            write_version(one, version)
        one.refresh()
        other.refresh()
        scores = all_scores(one, 249)
        assert all_scores(other, 249) == scores
        copy.mkdir()
    for file in home.glob("store.sqlite*"):
        shutil.copy(file, copy)
    with opened(copy, index=True) as fresh:
        fresh.refresh()
        assert all_scores(fresh, 249) == scores


def write_one(engine: EmbeddedEngine, version: int) -> None:
    engine.put([ProductWrite(Product(id="p000", title=f"version{version}"), {})])


def found(engine: EmbeddedEngine, version: int) -> tuple[str, ...]:
    return engine.search(SearchPlan((KeywordLeg("leg", f"version{version}", {"title": 1.0}, "1", 10),))).legs["leg"].ids
