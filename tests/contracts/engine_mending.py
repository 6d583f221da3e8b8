"""What every engine does for the embedding lifecycle: postponed tries, a bounded backfill, mended ledgers."""

from __future__ import annotations

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.types import FailureWrite, Part, Priority, Requeue, State
from tests.contracts.engine_cases import IMAGE, TEXT, Clock, document, entry, failure, open_one, state, vectors, write


def postponed(id_: str, seconds: float) -> FailureWrite:
    return FailureWrite(id_, TEXT.key, ("t1",), "model: Nobody has it here.", final=False, postpone=seconds)


class PostponedContract:
    def test_a_postponed_try_counts_nothing_and_waits(self, engine: Engine, clock: Clock) -> None:
        engine.add_space(TEXT)
        engine.put([write("a"), write("b")])
        for _ in range(5):
            chunk = open_one(engine)
            assert len(chunk.product_ids) == 2, "they need not come alone"
            engine.write_failures([postponed("a", 30.0), postponed("b", 30.0)])
            engine.finish_chunk(chunk.id)
            clock.now += 29.0
            assert engine.open_chunks(at_most=9, size=9) == []
            clock.now += 1.0
        found = entry(engine, "a", TEXT)
        assert (found.state, found.attempts, found.error) == (State.PENDING, 0, "model: Nobody has it here.")

    def test_a_postponed_try_of_a_product_alone_is_taken_back(self, engine: Engine, clock: Clock) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        chunk = open_one(engine)
        engine.write_failures([failure("a", TEXT, ("t1",))])
        engine.finish_chunk(chunk.id)
        clock.now += 60.0
        chunk = open_one(engine)
        assert entry(engine, "a", TEXT).attempts == 2
        engine.write_failures([postponed("a", 30.0)])
        engine.finish_chunk(chunk.id)
        assert entry(engine, "a", TEXT).attempts == 1


class BoundedBackfillContract:
    def test_a_backfill_is_chunked_no_faster_than_allowed(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write(f"old{i}") for i in range(10)], priority=Priority.BACKFILL)
        engine.put([write(f"new{i}") for i in range(5)])
        chunks = engine.open_chunks(at_most=99, size=4, backfill=6)
        assert [(c.priority, len(c.product_ids)) for c in chunks] == [
            (Priority.LIVE, 4),
            (Priority.LIVE, 1),
            (Priority.BACKFILL, 4),
            (Priority.BACKFILL, 2),
        ]
        assert engine.open_chunks(at_most=99, size=4, backfill=0) == []
        assert [len(c.product_ids) for c in engine.open_chunks(at_most=99, size=4)] == [4]


class MendingContract:
    @pytest.fixture
    def shop(self, engine: Engine) -> Engine:
        for space in (TEXT, IMAGE):
            engine.add_space(space)
        engine.put([write("a"), write("b")])
        engine.write_vectors([vectors(id_, space, parts) for id_ in ("a", "b") for space, parts in ((TEXT, ("t1",)), (IMAGE, ("i1",)))])
        return engine

    def request(self, engine: Engine, id_: str, *, text: str = "t1", image: str = "i1", spaces: tuple[str, ...] = ()) -> Requeue:
        held = document(engine, id_)
        parts: dict[Part, tuple[str, ...]] = {"text": (text,) if text else (), "image": (image,) if image else ()}
        return Requeue(id_, held.seq, parts, frozenset(spaces), held.numbering)

    def test_entries_of_other_content_become_pending_and_keep_their_vectors(self, shop: Engine) -> None:
        assert shop.requeue([self.request(shop, "a", text="t9"), self.request(shop, "b")]) == 1
        found = entry(shop, "a", TEXT)
        assert (found.state, found.parts, found.attempts) == (State.PENDING, ("t9",), 0)
        assert shop.read_vectors(TEXT.key, ["a"])[0] is not None
        assert state(shop, "a", IMAGE) is State.READY
        assert state(shop, "b", TEXT) is State.READY
        assert [(c.priority, c.product_ids) for c in shop.open_chunks(at_most=9, size=9)] == [(Priority.BACKFILL, ("a",))]
        assert [r.result for r in shop.write_vectors([vectors("a", TEXT, ("t1",))])] == ["noop"]
        assert [r.result for r in shop.write_vectors([vectors("a", TEXT, ("t9",))])] == ["updated"]

    def test_a_named_space_becomes_pending_whatever_its_content(self, shop: Engine) -> None:
        assert shop.requeue([self.request(shop, "a", spaces=(IMAGE.key,))]) == 1
        assert (state(shop, "a", IMAGE), state(shop, "a", TEXT)) == (State.PENDING, State.READY)

    def test_a_part_the_product_does_not_have_loses_entry_and_vectors(self, shop: Engine) -> None:
        assert shop.requeue([self.request(shop, "a", image="")]) == 1
        assert set(document(shop, "a").ledger) == {TEXT.key}
        assert shop.read_vectors(IMAGE.key, ["a", "b"])[0] is None
        assert shop.read_vectors(IMAGE.key, ["b"])[0] is not None

    def test_a_product_written_since_is_left_alone(self, shop: Engine) -> None:
        stale = self.request(shop, "a", text="t9")
        gone = self.request(shop, "b", text="t9")
        shop.put([write("a", title="new")])
        shop.delete(["b"])
        assert shop.requeue([stale, gone]) == 0
        assert state(shop, "a", TEXT) is State.READY

    def test_a_mended_ledger_is_what_the_next_write_compares_with(self, shop: Engine) -> None:
        shop.requeue([self.request(shop, "a", text="t9")])
        shop.write_vectors([vectors("a", TEXT, ("t9",))])
        shop.put([write("a", text="t9", title="new")])
        assert state(shop, "a", TEXT) is State.READY
        shop.put([write("a", text="t1", title="new")])
        assert state(shop, "a", TEXT) is State.PENDING
