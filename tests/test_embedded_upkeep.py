"""Merging and compacting derived files: what is due, and that searches before, during and after give the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import upkeep
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.derive import Deriver
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.engines.embedded.filtering import filter_mask
from hybrid_search.engines.embedded.reader import Loader
from hybrid_search.engines.embedded.snapshot import Manifest, read_manifest
from hybrid_search.engines.embedded.store import put as put_products
from hybrid_search.engines.embedded.tables import STORE_STEPS
from hybrid_search.engines.embedded.upkeep import Install, Upkeep, first_to_merge
from hybrid_search.product import Product
from hybrid_search.types import (
    EngineReply,
    FacetRequest,
    FloatMatrix,
    KeywordLeg,
    Priority,
    SearchPlan,
    Space,
    Terms,
    VectorLeg,
    VectorWrite,
)

SPACE = Space("text", 1, 8, "text", "model", {"text": "model"})


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([5], 1),
        ([30, 10], 2),
        ([29, 10], 0),
        ([100, 10, 4], 1),
        ([1_000, 100, 10, 3], 4),
        ([1_000, 100, 10, 10], 2),
        ([9, 1, 1, 1, 1], 0),
    ],
)
def test_what_is_merged_leaves_segments_three_times_as_large_as_all_newer_ones(sizes: list[int], expected: int) -> None:
    assert first_to_merge(sizes) == expected


def vectors(version: int, count: int) -> FloatMatrix:
    made = np.random.default_rng(version).standard_normal((count, SPACE.dim)).astype(np.float32)
    unit: FloatMatrix = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def write(engine: EmbeddedEngine, version: int, count: int) -> None:
    products = [Product(id=f"p{n}", title=f"thing{n % 7} version{version}", brand=f"b{n % 3}") for n in range(count)]
    engine.put([ProductWrite(p, {"text": (f"{version}",)}) for p in products])
    rows = vectors(version, count)
    engine.write_vectors([VectorWrite(p.id, SPACE.key, (f"{version}",), rows[n : n + 1]) for n, p in enumerate(products)])


def ask(engine: EmbeddedEngine, version: int) -> EngineReply:
    legs = (KeywordLeg("words", f"thing3 version{version}", {"title": 1.0}, "1", 50), VectorLeg("near", SPACE.key, vectors(9, 1)[0], 50))
    return engine.search(SearchPlan(legs, facets=(FacetRequest("brand"),)))


def flat(reply: EngineReply) -> object:
    return [(hits.ids, hits.scores.tolist()) for hits in reply.legs.values()], reply.total, reply.facets


def settled(home: Path) -> Manifest:
    """The manifest once nothing is due any more."""
    for _ in range(200):
        manifest = read_manifest(home / "derived")
        if manifest is not None and not due(manifest):
            return manifest
        time.sleep(0.05)
    raise AssertionError("upkeep did not come to an end")


def due(manifest: Manifest) -> bool:
    long_log = manifest.columns.lines > max(upkeep.COLUMN_LINES, manifest.columns.base_lines // 2)
    dead = any(files.dead > max(upkeep.DEAD_ROWS, files.rows // 3) for files in manifest.spaces.values())
    return long_log or dead or first_to_merge([segment.docs for segment in manifest.text]) < len(manifest.text)


def test_upkeep_keeps_files_small_and_answers_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in (("AT_ONCE", 30), ("COLUMN_LINES", 100), ("DEAD_ROWS", 50), ("GRACE", 0.2)):
        monkeypatch.setattr(upkeep, name, small)
    engine = EmbeddedEngine(tmp_path)
    try:
        engine.add_space(SPACE)
        for version in range(12):
            write(engine, version, 60 + version)
            engine.refresh()
        engine.delete(["p5", "p6"], refresh=True)
        manifest = settled(tmp_path)
        engine.refresh()
        answers = flat(ask(engine, 11))
        assert manifest.spaces[SPACE.key].rows < 12 * 60 / 2
        assert manifest.columns.lines < 12 * 60 / 2
        assert sum(segment.docs for segment in manifest.text) < 300
        time.sleep(2.5)
        there = {path.stem for path in (tmp_path / "derived").iterdir()} - {"manifest"}
        assert there == (read_manifest(tmp_path / "derived") or manifest).stems()
    finally:
        engine.close()
    for path in (tmp_path / "derived").iterdir():
        path.unlink()
    fresh = EmbeddedEngine(tmp_path)
    try:
        fresh.refresh()
        assert flat(ask(fresh, 11)) == answers
    finally:
        fresh.close()


class HeldUpkeep(Upkeep):
    """Its long merges wait for ``go``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()

    def _run(self, job: Callable[[], Install]) -> None:
        self.go.wait()
        super()._run(job)


def test_segments_of_a_merge_under_way_are_not_merged_again_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "AT_ONCE", 30)
    store, derived = Database(tmp_path / "store.sqlite", STORE_STEPS), tmp_path / "derived"
    deriver, held = Deriver(derived, store, "float32"), HeldUpkeep(derived)

    def put(first: int, count: int, version: int) -> None:
        writes = [ProductWrite(Product(id=f"p{n}", title=f"version{version}"), {}) for n in range(first, first + count)]
        put_products(store, writes, priority=Priority.LIVE, now=0.0)
        deriver.catch_up()
        assert deriver.manifest is not None
        deriver.publish(held.tidy(deriver.manifest))

    put(0, 100, 1)
    put(0, 25, 2)
    put(25, 20, 2)  # 25 + 20 are merged in the background
    put(45, 10, 2)  # 20 + 10 are small, but the 20 are taken
    assert deriver.manifest is not None
    assert [segment.docs for segment in deriver.manifest.text][-1] == 10
    held.go.set()
    held.close()
    put(55, 1, 2)
    manifest = read_manifest(derived)
    assert manifest is not None
    text = Loader(derived).load(manifest).text
    assert [len(text.match([f"version{version}"], {"title": 1.0}, "1")[0]) for version in (1, 2)] == [44, 56]


@pytest.mark.parametrize("pattern", ["*.text", "*.lines", "*.rows", "*.codes", "manifest.json", "*"])
def test_any_derived_file_may_be_deleted_and_is_built_again(tmp_path: Path, pattern: str) -> None:
    engine = EmbeddedEngine(tmp_path)
    try:
        engine.add_space(SPACE)
        write(engine, 0, 20)
        engine.refresh()
        answers = flat(ask(engine, 0))
        gone = set((tmp_path / "derived").glob(pattern))
        assert gone
        for path in gone:
            path.unlink()
        assert flat(ask(engine, 0)) == answers
        built = read_again(tmp_path, gone)
    finally:
        engine.close()
    assert built == answers


def read_again(home: Path, gone: set[Path]) -> object:
    """The answers of a process that has seen none of the files that are gone."""
    for _ in range(200):
        manifest = read_manifest(home / "derived")
        if manifest is not None and not {path.name for path in gone} & manifest.paths():
            break
        time.sleep(0.05)
    fresh = EmbeddedEngine(home, index=False)
    try:
        fresh.refresh()
        return flat(ask(fresh, 0))
    finally:
        fresh.close()


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[tuple[EmbeddedEngine, Deriver, Loader]]:
    """An engine with 300 products that nobody indexes but the test itself."""
    engine = EmbeddedEngine(tmp_path, index=False)
    engine.add_space(SPACE)
    write(engine, 0, 300)
    store = Database(tmp_path / "store.sqlite", STORE_STEPS)
    yield engine, Deriver(tmp_path / "derived", store, "float16"), Loader(tmp_path / "derived")
    store.close()
    engine.close()


def test_a_change_costs_what_it_changes_not_what_there_is(loader: tuple[EmbeddedEngine, Deriver, Loader]) -> None:
    engine, deriver, reader = loader
    first = follow(deriver, reader)
    assert reader.lines_read == 300
    product = Product(id="p7", title="thing0 version0", brand="b1", price=5.0)
    engine.put([ProductWrite(product, {"text": ("0",)})])
    priced = follow(deriver, reader)
    assert reader.lines_read == 301
    assert priced.text == first.text
    assert priced.spaces == first.spaces
    engine.put([ProductWrite(product.model_copy(update={"title": "other words"}), {"text": ("0",)})])
    worded = follow(deriver, reader)
    assert [segment.docs for segment in worded.text] == [300, 1]
    assert worded.spaces == first.spaces
    engine.put([ProductWrite(product.model_copy(update={"title": "other words"}), {"text": ("1",)})])
    engine.write_vectors([VectorWrite("p7", SPACE.key, ("1",), vectors(5, 1))])
    embedded = follow(deriver, reader)
    assert embedded.text == worded.text
    assert (embedded.spaces[SPACE.key].rows, embedded.spaces[SPACE.key].dead) == (301, 1)


def test_a_reader_goes_on_across_a_compaction_of_the_columns(
    loader: tuple[EmbeddedEngine, Deriver, Loader], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, deriver, reader = loader
    monkeypatch.setattr(upkeep, "COLUMN_LINES", 100)
    late = Loader(reader.folder)
    before = follow(deriver, reader)
    late.load(before)
    engine.put([ProductWrite(Product(id="p1", title="thing1 version0", brand="new"), {"text": ("0",)})])
    follow(deriver, reader)
    keeper = upkeep.Upkeep(reader.folder)
    assert deriver.manifest is not None
    keeper.tidy(deriver.manifest)
    keeper.close()
    engine.put([ProductWrite(Product(id="p2", title="thing2 version0", brand="newer"), {"text": ("0",)})])
    follow(deriver, reader)
    tidied = keeper.tidy(deriver.manifest)
    assert tidied.columns.base_lines == 300
    deriver.publish(tidied)
    for one in (reader, late):
        columns = one.load(tidied).columns
        assert [np.count_nonzero(filter_mask(columns, (Terms("brand", (brand,)),), ())) for brand in ("new", "newer")] == [1, 1]
        assert one.lines_read == 302


def follow(deriver: Deriver, reader: Loader) -> Manifest:
    deriver.catch_up()
    assert deriver.manifest is not None
    reader.load(deriver.manifest)
    return deriver.manifest
