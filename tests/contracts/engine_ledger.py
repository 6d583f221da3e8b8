"""What every engine's ledger does with chunks, attempts and failures."""

from __future__ import annotations

import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.types import Priority, State
from tests.contracts.engine_cases import (
    CROSS,
    IMAGE,
    MAX_ATTEMPTS,
    RETRY_PAUSE,
    TEXT,
    Clock,
    entry,
    failure,
    open_one,
    state,
    vectors,
    write,
)

SILENCE = 12.0


@pytest.fixture
def text_engine(engine: Engine) -> Engine:
    """An engine with one space."""
    engine.add_space(TEXT)
    return engine


def die(engine: Engine, clock: Clock) -> None:
    """The workers of all running chunks are found dead."""
    clock.now += SILENCE
    assert engine.give_up_chunks(silent_for=SILENCE) >= 1


class ChunksContract:
    def test_pending_products_are_grouped_once(self, text_engine: Engine) -> None:
        text_engine.put([write(f"p{i}") for i in range(10)])
        chunks = text_engine.open_chunks(at_most=100, size=4)
        assert sorted(len(c.product_ids) for c in chunks) == [2, 4, 4]
        assert sorted(id_ for c in chunks for id_ in c.product_ids) == sorted(f"p{i}" for i in range(10))
        assert {c.priority for c in chunks} == {Priority.LIVE}
        assert text_engine.open_chunks(at_most=100, size=4) == []

    def test_a_product_pending_in_several_spaces_is_in_one_chunk(self, engine: Engine) -> None:
        for space in (TEXT, IMAGE, CROSS):
            engine.add_space(space)
        engine.put([write("a"), write("b")])
        (chunk,) = engine.open_chunks(at_most=100, size=2)
        assert sorted(chunk.product_ids) == ["a", "b"]

    def test_no_more_chunks_are_open_than_allowed(self, text_engine: Engine) -> None:
        text_engine.put([write(f"p{i:03}") for i in range(100)])
        first = text_engine.open_chunks(at_most=40, size=1)
        assert len(first) == 40
        assert text_engine.open_chunks(at_most=40, size=1) == []
        text_engine.start_chunk(first[0].id)
        assert text_engine.open_chunks(at_most=40, size=1) == []
        text_engine.write_vectors([vectors(first[0].product_ids[0], TEXT, ("t1",))])
        text_engine.finish_chunk(first[0].id)
        assert len(text_engine.open_chunks(at_most=40, size=1)) == 1
        assert (text_engine.status().queue.queued, text_engine.status().queue.running) == (40, 0)

    def test_live_changes_come_before_a_backfill(self, text_engine: Engine) -> None:
        text_engine.put([write(f"old{i}") for i in range(4)], priority=Priority.BACKFILL)
        text_engine.put([write(f"new{i}") for i in range(3)])
        chunks = text_engine.open_chunks(at_most=100, size=2)
        assert [c.priority for c in chunks] == [Priority.LIVE] * 2 + [Priority.BACKFILL] * 2
        assert all(id_.startswith("new") == (c.priority is Priority.LIVE) for c in chunks for id_ in c.product_ids)

    def test_a_live_change_pulls_a_backfilled_product_forward(self, text_engine: Engine) -> None:
        text_engine.put([write("a"), write("b")], priority=Priority.BACKFILL)
        text_engine.put([write("b", text="t2")])
        text_engine.put([write("b", text="t3")], priority=Priority.BACKFILL)
        chunks = text_engine.open_chunks(at_most=100, size=2)
        assert [(c.priority, c.product_ids) for c in chunks] == [(Priority.LIVE, ("b",)), (Priority.BACKFILL, ("a",))]

    def test_a_new_space_is_a_backfill(self, engine: Engine) -> None:
        engine.put([write("a")])
        engine.add_space(TEXT)
        assert [c.priority for c in engine.open_chunks(at_most=9, size=9)] == [Priority.BACKFILL]

    def test_a_chunk_is_started_once(self, text_engine: Engine) -> None:
        text_engine.put([write("a")])
        (chunk,) = text_engine.open_chunks(at_most=9, size=9)
        assert text_engine.start_chunk(chunk.id) == chunk
        assert text_engine.start_chunk(chunk.id) is None
        assert text_engine.start_chunk("nobody") is None

    def test_a_finished_chunk_frees_what_is_still_pending(self, text_engine: Engine) -> None:
        text_engine.put([write("a"), write("b")])
        chunk = open_one(text_engine)
        text_engine.write_vectors([vectors("a", TEXT, ("t1",))])
        text_engine.finish_chunk(chunk.id)
        text_engine.finish_chunk(chunk.id)
        (again,) = text_engine.open_chunks(at_most=9, size=9)
        assert again.product_ids == ("b",)
        assert entry(text_engine, "b", TEXT).attempts == 0

    def test_a_product_changed_while_in_a_chunk_waits_for_its_end(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        chunk = open_one(engine)
        engine.put([write("a", text="t2")])
        engine.add_space(IMAGE)
        assert engine.open_chunks(at_most=9, size=9) == []
        assert [r.result for r in engine.write_vectors([vectors("a", TEXT, ("t1",))])] == ["noop"]
        engine.finish_chunk(chunk.id)
        (again,) = engine.open_chunks(at_most=9, size=9)
        assert again.product_ids == ("a",)

    def test_a_product_deleted_and_made_again_is_not_in_two_chunks(self, text_engine: Engine) -> None:
        text_engine.put([write("a")])
        chunk = open_one(text_engine)
        text_engine.delete(["a"])
        text_engine.put([write("a", text="t2")])
        assert text_engine.open_chunks(at_most=9, size=9) == []
        text_engine.finish_chunk(chunk.id)
        assert [c.product_ids for c in text_engine.open_chunks(at_most=9, size=9)] == [("a",)]

    def test_queued_chunks_whose_message_may_be_lost_are_told_again(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        first, second = text_engine.open_chunks(at_most=9, size=1)
        text_engine.start_chunk(second.id)
        clock.now += 29
        assert text_engine.stale_chunks(queued_for=30) == []
        clock.now += 1
        assert text_engine.stale_chunks(queued_for=30) == [first]
        assert text_engine.stale_chunks(queued_for=30) == []
        clock.now += 30
        assert text_engine.stale_chunks(queued_for=30) == [first]
        assert text_engine.status().queue.stalest_running == 60

    def test_ages_are_told(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        assert text_engine.status().queue.oldest_queued == 0
        first, _ = text_engine.open_chunks(at_most=9, size=1)
        clock.now += 7
        text_engine.start_chunk(first.id)
        clock.now += 3
        queue = text_engine.status().queue
        assert (queue.queued, queue.running, queue.oldest_queued, queue.stalest_running) == (1, 1, 10, 3)
        assert text_engine.beat_chunk(first.id)
        assert text_engine.status().queue.stalest_running == 0


class AttemptsContract:
    def test_a_chunk_that_beats_is_not_given_up(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        chunk = open_one(text_engine)
        clock.now += SILENCE - 1
        assert text_engine.beat_chunk(chunk.id)
        clock.now += SILENCE - 1
        assert text_engine.give_up_chunks(silent_for=SILENCE) == 0
        clock.now += 1
        assert text_engine.give_up_chunks(silent_for=SILENCE) == 1
        assert not text_engine.beat_chunk(chunk.id)
        assert text_engine.give_up_chunks(silent_for=SILENCE) == 0

    def test_a_queued_chunk_does_not_die(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a")])
        (chunk,) = text_engine.open_chunks(at_most=9, size=9)
        clock.now += 1_000
        assert text_engine.give_up_chunks(silent_for=SILENCE) == 0
        assert not text_engine.beat_chunk(chunk.id)

    def test_the_unfinished_products_of_a_dead_chunk_come_alone(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write(id_) for id_ in "abc"])
        open_one(text_engine)
        text_engine.write_vectors([vectors("a", TEXT, ("t1",))])
        die(text_engine, clock)
        text_engine.put([write("d")])
        chunks = text_engine.open_chunks(at_most=9, size=9)
        assert sorted(c.product_ids for c in chunks) == [("b",), ("c",), ("d",)]
        assert entry(text_engine, "b", TEXT).attempts == 0

    def test_a_product_that_must_come_alone_does_so_for_all_its_spaces(self, engine: Engine, clock: Clock) -> None:
        engine.add_space(TEXT)
        engine.add_space(IMAGE)
        engine.put([write("a"), write("b")])
        open_one(engine)
        die(engine, clock)
        engine.put([write("a", text="t2"), write("b", text="t2"), write("c"), write("d")])
        chunks = engine.open_chunks(at_most=9, size=9)
        assert sorted(sorted(c.product_ids) for c in chunks) == [["a"], ["b"], ["c", "d"]]

    def test_a_product_that_kills_its_worker_fails_in_the_end(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a")])
        for attempt in range(1, MAX_ATTEMPTS + 1):
            open_one(text_engine)
            assert entry(text_engine, "a", TEXT).attempts == attempt
            assert state(text_engine, "a", TEXT) is State.PENDING
            die(text_engine, clock)
        failed = entry(text_engine, "a", TEXT)
        assert (failed.state, failed.attempts) == (State.FAILED, MAX_ATTEMPTS)
        assert failed.error is not None and failed.error.startswith("worker_died: ")
        assert text_engine.open_chunks(at_most=9, size=9) == []

    def test_a_changed_product_starts_anew(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        open_one(text_engine)
        die(text_engine, clock)
        for chunk in text_engine.open_chunks(at_most=9, size=9):
            text_engine.start_chunk(chunk.id)
        die(text_engine, clock)
        text_engine.put([write("a", text="t2"), write("b", text="t2")])
        assert entry(text_engine, "a", TEXT).attempts == 0
        assert sorted(open_one(text_engine).product_ids) == ["a", "b"]

    def test_an_attempt_that_neither_failed_nor_died_does_not_count(self, text_engine: Engine) -> None:
        text_engine.put([write("a")])
        text_engine.finish_chunk(open_one(text_engine).id)
        assert entry(text_engine, "a", TEXT).attempts == 0

    def test_success_clears_the_attempts(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a")])
        open_one(text_engine)
        die(text_engine, clock)
        chunk = open_one(text_engine)
        text_engine.write_vectors([vectors("a", TEXT, ("t1",))])
        text_engine.finish_chunk(chunk.id)
        assert entry(text_engine, "a", TEXT).attempts == 0

    def test_a_late_worker_of_a_dead_chunk_does_no_harm(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        dead = open_one(text_engine)
        die(text_engine, clock)
        fresh = text_engine.open_chunks(at_most=9, size=9)
        text_engine.finish_chunk(dead.id)
        assert text_engine.open_chunks(at_most=9, size=9) == []
        assert [text_engine.start_chunk(c.id) for c in fresh] == fresh


class FailuresContract:
    def test_a_failed_try_comes_again_alone_after_a_pause_that_doubles(self, text_engine: Engine, clock: Clock) -> None:
        text_engine.put([write("a"), write("b")])
        chunk = open_one(text_engine)
        for attempt in range(1, MAX_ATTEMPTS):
            text_engine.write_failures([failure("a", TEXT, ("t1",))])
            text_engine.finish_chunk(chunk.id)
            kept = entry(text_engine, "a", TEXT)
            assert (kept.state, kept.attempts, kept.error) == (State.PENDING, attempt, "timeout: The picture did not arrive.")
            text_engine.write_vectors([vectors("b", TEXT, ("t1",))])
            clock.now += RETRY_PAUSE * 2 ** (attempt - 1) - 0.5
            assert text_engine.open_chunks(at_most=9, size=9) == []
            clock.now += 0.5
            text_engine.put([write(f"other{attempt}")])
            chunks = text_engine.open_chunks(at_most=9, size=9)
            assert sorted(c.product_ids for c in chunks) == [("a",), (f"other{attempt}",)]
            for opened in chunks:
                text_engine.start_chunk(opened.id)
            chunk = next(c for c in chunks if c.product_ids == ("a",))
        text_engine.write_failures([failure("a", TEXT, ("t1",))])
        assert (state(text_engine, "a", TEXT), entry(text_engine, "a", TEXT).attempts) == (State.FAILED, MAX_ATTEMPTS)

    def test_a_final_failure_fails_at_once_and_takes_the_vectors_of_what_was_before(self, text_engine: Engine) -> None:
        text_engine.put([write("a")])
        text_engine.write_vectors([vectors("a", TEXT, ("t1",))])
        text_engine.put([write("a", text="t2")])
        text_engine.write_failures([failure("a", TEXT, ("t2",), final=True)])
        assert (state(text_engine, "a", TEXT), entry(text_engine, "a", TEXT).attempts) == (State.FAILED, 1)
        assert text_engine.read_vectors("text_1", ["a"]) == [None]

    def test_failures_of_other_content_or_of_what_is_settled_change_nothing(self, text_engine: Engine) -> None:
        text_engine.put([write("a"), write("b")])
        text_engine.write_vectors([vectors("b", TEXT, ("t1",))])
        before = text_engine.fetch(["a", "b"])
        text_engine.write_failures(
            [
                failure("a", TEXT, ("old",), final=True),
                failure("b", TEXT, ("t1",), final=True),
                failure("nobody", TEXT, ("t1",)),
                failure("a", CROSS, ("i1",)),
            ]
        )
        assert text_engine.fetch(["a", "b"]) == before

    def test_failures_are_listed_page_by_page_in_order(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.add_space(IMAGE)
        engine.put([write(id_) for id_ in ("c", "a", "b", "é")])
        engine.write_failures([failure(id_, TEXT, ("t1",), final=True) for id_ in ("é", "c", "a")])
        engine.write_failures([failure("a", IMAGE, ("i1",), final=True)])
        found = [(f.product_id, f.entry.space) for f in engine.failures()]
        assert found == [("a", "image_1"), ("a", "text_1"), ("c", "text_1"), ("é", "text_1")]
        assert engine.failures(limit=1)[0].entry == entry(engine, "a", IMAGE)
        assert [(f.product_id, f.entry.space) for f in engine.failures(limit=2, after=("a", "image_1"))] == found[1:3]

    def test_retry_starts_failures_anew(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a"), write("b"), write("c")])
        engine.write_failures([failure(id_, TEXT, ("t1",), final=True) for id_ in "ab"])
        assert engine.retry_failures(["a", "c", "nobody"]) == 1
        assert (state(engine, "a", TEXT), entry(engine, "a", TEXT).attempts) == (State.PENDING, 0)
        assert [f.product_id for f in engine.failures()] == ["b"]
        assert engine.retry_failures() == 1
        assert engine.retry_failures() == 0
        ids = {id_ for c in engine.open_chunks(at_most=9, size=9) for id_ in c.product_ids}
        assert ids == {"a", "b", "c"}

    def test_an_equal_put_does_not_retry_and_a_changed_one_does(self, text_engine: Engine) -> None:
        text_engine.put([write("a")])
        text_engine.write_failures([failure("a", TEXT, ("t1",), final=True)])
        text_engine.put([write("a", price=3)])
        assert state(text_engine, "a", TEXT) is State.FAILED
        text_engine.put([write("a", price=3, text="t2")])
        assert state(text_engine, "a", TEXT) is State.PENDING
