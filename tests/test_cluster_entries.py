"""The ledger inside a stored product: its rules are those of the embedded engine, found by random walks over both."""

from __future__ import annotations

import copy
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.entries import (
    Change,
    Entry,
    Ledger,
    attempt_started,
    attempt_taken_back,
    buried,
    content_put,
    difference,
    failure_counted,
    ledger_entries,
    read_ledger,
    requeued,
    retried,
    states_changed,
    stored_ledger,
    summary,
    vectors_written,
)
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import Part, Priority, Requeue, Space, State
from tests.contracts.engine_cases import CROSS, IMAGE, MAX_ATTEMPTS, RETRY_PAUSE, TEXT, Clock, failure, vectors

POLICY = RetryPolicy(MAX_ATTEMPTS, RETRY_PAUSE)
SPACES: Mapping[str, Space] = {"text_1": TEXT, "image_1": IMAGE, "cross_1_2": CROSS}
"""``cross`` stands in a field of another name, as it does once it was dropped and made again."""
BOTH: Mapping[Part, tuple[str, ...]] = {"text": ("t1",), "image": ("i1", "i2")}
NOW = 1_700_000_000.0


def put(ledger: Ledger, parts: Mapping[Part, tuple[str, ...]], priority: Priority = Priority.LIVE, now: float = NOW) -> Ledger:
    return content_put(ledger, parts, SPACES, priority=priority, now=now)


def ready(ledger: Ledger, space_field: str = "text_1", parts: tuple[str, ...] = ("t1",), error: str | None = None) -> Ledger:
    return vectors_written(ledger, space_field, SPACES[space_field], parts=parts, error=error, now=NOW + 1)


def failed(ledger: Ledger, space_field: str = "text_1", parts: tuple[str, ...] = ("t1",), *, final: bool = False) -> Ledger:
    space = SPACES[space_field]
    return failure_counted(ledger, space_field, space, failure("p", space, parts, final=final), policy=POLICY, now=NOW)


def apply(stored: dict[str, Any], change: Change) -> dict[str, Any]:
    """What a server makes of a change: removals, then values at paths."""
    stored = copy.deepcopy(stored)
    for path in change.remove:
        at: Any = stored
        for key in path[:-1]:
            at = at.get(key, {})
        at.pop(path[-1], None)
    for path, value in change.set.items():
        at = stored
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return stored


# one rule at a time


def test_a_product_without_an_entry_is_pending_as_a_backfill() -> None:
    ledger = Ledger({"text": ("t1",)})
    assert ledger.at("text_1", TEXT) == Entry(State.PENDING, "text", ("t1",), "words-model", Priority.BACKFILL)
    assert ledger.at("image_1", IMAGE) is None
    assert ledger.due(SPACES, 0.0) is Priority.BACKFILL
    assert ledger.due({"image_1": IMAGE}, 0.0) is None
    assert set(ledger_entries(ledger, SPACES)) == {"text_1"}
    assert set(ledger.complete(SPACES).entries) == {"text_1"}


def test_an_equal_put_is_the_same_ledger() -> None:
    ledger = put(Ledger(), BOTH)
    assert put(ledger, dict(reversed(list(BOTH.items()))) | {}, Priority.BACKFILL, NOW + 9) is ledger
    assert put(Ledger(BOTH), BOTH) == Ledger(BOTH)  # implicit entries stay a backfill


def test_a_part_that_changed_is_pending_and_the_other_stays() -> None:
    ledger = ready(ready(put(Ledger(), BOTH)), "image_1", ("i1", "i2"))
    after = put(ledger, {"text": ("t2",), "image": ("i1", "i2")}, now=NOW + 5)
    assert after.entries["text_1"] == Entry(State.PENDING, "text", ("t2",), "words-model", Priority.LIVE, updated=NOW + 5)
    assert after.entries["image_1"] is ledger.entries["image_1"]
    assert difference(ledger, after).remove == ()  # the old vectors stay until the new ones are there


@pytest.mark.parametrize(
    ("first", "second", "then"), [("live", "backfill", "live"), ("backfill", "live", "live"), ("backfill", "backfill", "backfill")]
)
def test_a_live_change_stays_live(first: str, second: str, then: str) -> None:
    ledger = put(put(Ledger(), {"text": ("t1",)}, Priority(first)), {"text": ("t2",)}, Priority(second))
    assert ledger.entries["text_1"].priority == then


def test_a_settled_entry_takes_the_priority_of_the_change() -> None:
    assert put(ready(put(Ledger(), BOTH)), {"text": ("t2",)}, Priority.BACKFILL).entries["text_1"].priority is Priority.BACKFILL


def test_a_part_that_is_gone_takes_entry_and_vectors_along() -> None:
    ledger = ready(put(Ledger(), BOTH))
    change = difference(ledger, put(ledger, {"image": ("i1", "i2"), "text": ()}))
    assert {("hybrid", "vec_text_1"), ("hybrid", "ledger", "text_1"), ("hybrid", "ready")} <= set(change.remove)
    assert change.set[("hybrid", "parts")] == {"image": ["i1", "i2"]}


def test_entries_of_a_space_that_this_process_does_not_know_follow_the_content() -> None:
    ledger = ready(put(Ledger(), BOTH))
    after = content_put(ledger, {"text": ("t2",)}, {"image_1": IMAGE}, priority=Priority.LIVE, now=NOW)
    assert (after.entries["text_1"].state, after.entries["text_1"].parts) == (State.PENDING, ("t2",))
    assert content_put(ledger, {}, {}, priority=Priority.LIVE, now=NOW).entries == {}
    assert ledger_entries(after, {"image_1": IMAGE}) == {}


def test_vectors_of_other_content_and_doubled_ones_change_nothing() -> None:
    ledger = put(Ledger(), BOTH)
    for late in (("t0",), (), ("t1", "t1")):
        assert ready(ledger, parts=late) is ledger
    done = ready(ledger)
    assert ready(done) is done
    assert ready(done, error="blank: One picture.") is done
    again = vectors_written(done, "text_1", TEXT, parts=("t1",), error="blank: One.", now=NOW + 2, again=True)
    assert again.entries["text_1"].error == "blank: One."
    assert ready(Ledger(), "text_1") == Ledger()


def test_a_late_success_heals_a_failure() -> None:
    healed = ready(failed(put(Ledger(), BOTH), final=True))
    assert (healed.entries["text_1"].state, healed.entries["text_1"].attempts, healed.alone) == (State.READY, 0, False)


def test_failures_pause_twice_as_long_each_time_and_end() -> None:
    ledger = put(Ledger(), {"text": ("t1",)})
    for attempt, pause in ((1, RETRY_PAUSE), (2, 2 * RETRY_PAUSE)):
        ledger = failed(ledger)
        entry = ledger.entries["text_1"]
        assert (entry.state, entry.attempts, entry.not_before, entry.alone) == (State.PENDING, attempt, NOW + pause, True)
        assert ledger.due(SPACES, NOW + pause - 0.1) is None
        assert ledger.due(SPACES, NOW + pause) is Priority.LIVE
    last = failed(ledger)
    assert (last.entries["text_1"].state, last.entries["text_1"].attempts) == (State.FAILED, 3)
    assert ("hybrid", "vec_text_1") in difference(ledger, last).remove
    assert failed(last) is last
    assert failed(ledger, parts=("t0",)) is ledger


def test_an_attempt_counts_once_however_it_ends() -> None:
    ledger = put(Ledger(), {"text": ("t1",)})
    started = attempt_started(ledger, SPACES, chunk="c1")
    assert (started.entries["text_1"].attempts, started.entries["text_1"].counted) == (1, "c1")
    assert attempt_started(started, SPACES, chunk="c1") is started
    assert attempt_started(started, SPACES, chunk="c2").entries["text_1"].attempts == 1  # c1 was forgotten half-way
    assert attempt_taken_back(started, chunk="c1") == ledger
    assert attempt_taken_back(started, chunk="c2") is started
    assert failed(started).entries["text_1"].attempts == 1
    assert attempt_taken_back(failed(started), chunk="c1").entries["text_1"].attempts == 1


def test_a_dead_chunk_sends_its_products_alone_and_buries_what_it_counted_last() -> None:
    ledger = put(Ledger(), {"text": ("t1",)})
    left = buried(ledger, SPACES, chunk="c0", max_attempts=3, now=NOW + 1)
    assert (left.entries["text_1"].alone, left.entries["text_1"].attempts, left.entries["text_1"].updated) == (True, 0, NOW + 1)
    assert buried(left, SPACES, chunk="c0", max_attempts=3, now=NOW + 2) is left
    for attempt in (1, 2, 3):
        assert left.entries["text_1"].state is State.PENDING
        left = buried(attempt_started(left, SPACES, chunk=f"c{attempt}"), SPACES, chunk=f"c{attempt}", max_attempts=3, now=NOW + attempt)
    assert left.entries["text_1"].state is State.FAILED
    assert str(left.entries["text_1"].error).startswith("worker_died: ")


def test_an_implicit_entry_of_a_dead_chunk_comes_alone() -> None:
    left = buried(Ledger({"text": ("t1",)}), SPACES, chunk="c", max_attempts=3, now=NOW)
    assert left.entries["text_1"].alone and left.entries["text_1"].priority is Priority.BACKFILL


def test_retried_entries_start_anew_and_still_come_alone() -> None:
    ledger = failed(put(Ledger(), BOTH), final=True)
    again = retried(ledger, SPACES, priority=Priority.BACKFILL, now=NOW + 7)
    entry = again.entries["text_1"]
    assert (entry.state, entry.attempts, entry.error, entry.priority, entry.alone) == (State.PENDING, 0, None, Priority.BACKFILL, True)
    assert states_changed(ledger, again, State.FAILED) == 1
    assert retried(ledger, {"image_1": IMAGE}, priority=Priority.LIVE, now=NOW) is ledger


def test_the_fields_by_which_products_are_found() -> None:
    ledger = ready(put(Ledger(), BOTH, Priority.BACKFILL))
    assert summary(ledger) == {"pending": ["cross_1_2", "image_1"], "ready": ["text_1"], "next_backfill": 0.0}
    ledger = failed(
        put(failed(ledger, "image_1", ("i1", "i2")), {"text": ("t2",), "image": ("i1", "i2")}), "cross_1_2", ("i1", "i2"), final=True
    )
    assert summary(ledger) == {
        "pending": ["image_1", "text_1"],
        "failed": ["cross_1_2"],
        "next_live": 0.0,
        "next_backfill": NOW + RETRY_PAUSE,
        "alone": True,
    }
    assert summary(Ledger(BOTH)) == {}


def test_a_stored_product_without_our_object_has_an_empty_ledger() -> None:
    assert read_ledger({"title": "theirs"}) == Ledger()
    assert read_ledger({"hybrid": None}) == Ledger()


# random walks


def walks() -> st.SearchStrategy[list[tuple[Any, ...]]]:
    field_ = st.sampled_from(sorted(SPACES))
    parts = st.fixed_dictionaries({"text": st.sampled_from(((), ("t1",), ("t2",))), "image": st.sampled_from(((), ("i1",), ("i1", "i2")))})
    return st.lists(
        st.one_of(
            st.tuples(st.just("put"), parts, st.sampled_from(Priority)),
            st.tuples(st.just("vectors"), field_, st.booleans()),
            st.tuples(st.just("failure"), field_, st.booleans(), st.booleans()),
            st.tuples(st.just("postpone"), field_),
            st.tuples(st.just("requeue"), parts, st.sets(field_)),
            st.tuples(st.just("start")),
            st.tuples(st.just("finish")),
            st.tuples(st.just("die")),
            st.tuples(st.just("retry"), st.booleans()),
            st.tuples(st.just("wait"), st.sampled_from((1.0, 2.0, 4.0))),
        ),
        min_size=4,
        max_size=30,
    )


class Twin:
    """One product in an embedded engine, and the ledger that these functions make of the same events."""

    def __init__(self, home: Path, late_spaces: bool) -> None:
        self.clock = Clock()
        self.engine = EmbeddedEngine(home, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, index=False, clock=self.clock)
        self.spaces = SPACES
        self.ledger = put(Ledger(), {"text": ("t0",)}, now=self.clock.now) if not late_spaces else Ledger({"text": ("t0",)})
        if late_spaces:
            self._put({"text": ("t0",)}, Priority.LIVE)
        for space in SPACES.values():
            self.engine.add_space(space)
        if not late_spaces:
            self._put({"text": ("t0",)}, Priority.LIVE)
        self.stored: dict[str, Any] = {"title": "thing", "hybrid": {"facts": ["kept"], **stored_ledger(self.ledger)}}
        self.chunk: str | None = None

    def _put(self, parts: Mapping[Part, tuple[str, ...]], priority: Priority) -> None:
        self.engine.put([ProductWrite(Product(id="p", title="thing"), parts)], priority=priority)

    def follow(self, after: Ledger) -> None:
        before, self.ledger = self.ledger, after
        self.stored = apply(self.stored, difference(before, after))

    def step(self, event: tuple[Any, ...]) -> None:
        now = self.clock.now
        match event:
            case ("put", parts, priority):
                self._put(parts, priority)
                self.follow(content_put(self.ledger, parts, SPACES, priority=priority, now=now))
            case ("vectors", key, late):
                entry, space = self.ledger.at(key, SPACES[key]), SPACES[key]
                if entry is not None and entry.state is not State.READY:
                    parts = ("moved on",) if late else entry.parts
                    self.engine.write_vectors([vectors("p", space, parts)])
                    self.hold(key, vectors_written(self.ledger, key, space, parts=parts, error=None, now=now))
            case ("failure", key, late, final):
                entry, space = self.ledger.at(key, SPACES[key]), SPACES[key]
                parts = ("moved on",) if late or entry is None else entry.parts
                write = failure("p", space, parts, final=final)
                self.engine.write_failures([write])
                self.follow(failure_counted(self.ledger, key, space, write, policy=POLICY, now=now))
            case ("postpone", key):
                entry, space = self.ledger.at(key, SPACES[key]), SPACES[key]
                if entry is not None:
                    write = replace(failure("p", space, entry.parts), postpone=3.0)
                    self.engine.write_failures([write])
                    self.follow(failure_counted(self.ledger, key, space, write, policy=POLICY, now=now))
            case ("requeue", parts, named):
                (document,) = self.engine.fetch(["p"])
                assert document is not None
                self.engine.requeue([Requeue("p", document.seq, parts, frozenset(SPACES[key].key for key in named), document.numbering)])
                self.follow(requeued(self.ledger, SPACES, parts=parts, named=named, now=now))
            case ("start",) if self.chunk is None:
                chunks = self.engine.open_chunks(at_most=1, size=1)
                assert [c.priority for c in chunks] == ([] if (due := self.ledger.due(SPACES, now)) is None else [due])
                for chunk in chunks:
                    self.chunk = chunk.id
                    self.engine.start_chunk(chunk.id)
                    self.follow(attempt_started(self.ledger, SPACES, chunk=chunk.id))
            case ("finish",) if self.chunk is not None:
                self.engine.finish_chunk(self.chunk)
                self.follow(attempt_taken_back(self.ledger, chunk=self.chunk))
                self.chunk = None
            case ("die",) if self.chunk is not None:
                assert self.engine.give_up_chunks(silent_for=0) == 1
                self.follow(buried(self.ledger, SPACES, chunk=self.chunk, max_attempts=MAX_ATTEMPTS, now=now))
                self.chunk = None
            case ("retry", by_name):
                priority = Priority.LIVE if by_name else Priority.BACKFILL
                after = retried(self.ledger, SPACES, priority=priority, now=now)
                assert self.engine.retry_failures(["p"] if by_name else None) == states_changed(self.ledger, after, State.FAILED)
                self.follow(after)
            case ("wait", seconds):
                self.clock.now += seconds

    def hold(self, key: str, after: Ledger) -> None:
        """Vectors are written beside the entry, by whoever writes them."""
        if after is not self.ledger:
            self.stored["hybrid"][f"vec_{key}"] = [0.1, 0.2]
        self.follow(after)

    def compare(self, connection: sqlite3.Connection) -> None:
        (document,) = self.engine.fetch(["p"])
        assert document is not None
        ours = ledger_entries(self.ledger, SPACES)
        # a space added later writes nothing to the product, so nobody knows since when its entry waits
        assert {k: replace(e, updated=0.0) if ours[k].updated == 0.0 else e for k, e in document.ledger.items()} == ours
        hidden = {row[0]: row[1:] for row in connection.execute("SELECT space, priority, not_before, counted, alone FROM ledger")}
        for key, space in SPACES.items():
            entry = self.ledger.at(key, space)
            if entry is not None and entry.pending:
                told = (list(Priority).index(entry.priority), entry.not_before, bool(entry.counted))
                assert hidden[space.key][:3] == told, space.key
                # there an entry that waits beside one that must come alone is marked too, once they are chunked
                assert hidden[space.key][3] or not entry.alone
        with_vectors = [space.key for space in SPACES.values() if self.engine.read_vectors(space.key, ["p"])[0] is not None]
        assert with_vectors == [space.key for key, space in SPACES.items() if f"vec_{key}" in self.stored["hybrid"]]

    def close(self) -> None:
        self.engine.close()


@settings(max_examples=60, deadline=None)
@given(walks(), st.booleans())
def test_every_walk_leaves_what_the_embedded_engine_has(walk: list[tuple[Any, ...]], late_spaces: bool) -> None:
    with tempfile.TemporaryDirectory() as home:
        twin = Twin(Path(home), late_spaces)
        connection = sqlite3.connect(Path(home) / "store.sqlite")
        try:
            for event in walk:
                twin.step(event)
                twin.compare(connection)
                own = {key: value for key, value in twin.stored["hybrid"].items() if not key.startswith("vec_")}
                assert own == {
                    "facts": ["kept"],
                    **({"ledger": {}} if not twin.ledger.entries and "ledger" in own else {}),
                } | stored_ledger(twin.ledger)
                assert read_ledger(orjson.loads(orjson.dumps(twin.stored))) == twin.ledger
        finally:
            connection.close()
            twin.close()
