"""Random walks over an engine's truth side, checked against a model of a few dictionaries after every step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hybrid_search.engines.base import Engine
from hybrid_search.types import Chunk, Part, Priority, Requeue, Space, State
from tests.contracts.engine_cases import CROSS, IMAGE, MAX_ATTEMPTS, RETRY_PAUSE, TEXT, Clock, failure, rows, vectors, write

IDS = ("a", "b", "c", "d", "e")
SPACES = (TEXT, IMAGE, CROSS)

ids = st.sampled_from(IDS)
space = st.sampled_from(SPACES)
space_keys = st.sampled_from([space.key for space in SPACES])
texts = st.sampled_from(("", "t1", "t2"))
images = st.sampled_from(((), ("i1",), ("i1", "i2")))
priorities = st.sampled_from(Priority)


def value(parts: tuple[str, ...]) -> float:
    """What the vectors of a content are made from: others for each content."""
    return float(sum(map(ord, "".join(parts))))


@dataclass
class Entry:
    """One product in one space, as the model has it. ``held``: the content whose vectors are there."""

    parts: tuple[str, ...]
    priority: Priority
    state: State = State.PENDING
    attempts: int = 0
    not_before: float = 0.0
    alone: bool = False
    counted: bool = False
    held: tuple[str, ...] | None = None


@dataclass
class OpenChunk:
    chunk: Chunk
    beat: float
    running: bool = False


@dataclass(frozen=True)
class Delivery:
    """Something a worker sent: vectors, or a failure."""

    product_id: str
    space: Space
    parts: tuple[str, ...]
    vectors: bool
    final: bool = False
    postpone: float | None = None


@dataclass
class Model:
    products: dict[str, tuple[str, tuple[str, ...], int]] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    chunks: dict[str, OpenChunk] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)

    def parts(self, id_: str, space: Space) -> tuple[str, ...]:
        text, pictures, _ = self.products[id_]
        return pictures if space.part == "image" else (text,) if text else ()

    def pending(self, id_: str) -> list[Entry]:
        return [e for (of, _), e in self.entries.items() if of == id_ and e.state is State.PENDING]

    def taken(self) -> list[str]:
        return [id_ for opened in self.chunks.values() for id_ in opened.chunk.product_ids]

    def due(self, now: float) -> dict[str, Priority]:
        """Products that may be chunked now, with the priority they come at."""
        found: dict[str, Priority] = {}
        for id_ in set(self.products) - set(self.taken()):
            due = [e.priority for e in self.pending(id_) if e.not_before <= now]
            if due:
                found[id_] = Priority.LIVE if Priority.LIVE in due else Priority.BACKFILL
        return found


class EngineMachine(RuleBasedStateMachine):
    """Subclass with ``make_engine``; ``clock`` is the engine's."""

    engine: Engine

    def make_engine(self, clock: Clock) -> Engine:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.engine = self.make_engine(self.clock)
        self.model = Model()
        self.add_space(TEXT)

    # products

    @rule(id_=ids, text=texts, pictures=images, price=st.integers(0, 1), priority=priorities)
    def put(self, id_: str, text: str, pictures: tuple[str, ...], price: int, priority: Priority) -> None:
        old = self.model.products.get(id_)
        (result,) = self.engine.put([write(id_, text=text, images=pictures, price=price)], priority=priority)
        self.model.products[id_] = (text, pictures, price)
        assert result.result == ("created" if old is None else "noop" if old == (text, pictures, price) else "updated")
        for space in self.model.spaces.values():
            self._follow(id_, space, priority)

    def _follow(self, id_: str, space: Space, priority: Priority) -> None:
        wanted, old = self.model.parts(id_, space), self.model.entries.get((id_, space.key))
        if not wanted:
            self.model.entries.pop((id_, space.key), None)
        elif old is None or old.parts != wanted:
            stays_live = old is not None and old.state is State.PENDING and old.priority is Priority.LIVE
            self.model.entries[id_, space.key] = Entry(wanted, Priority.LIVE if stays_live else priority, held=old.held if old else None)

    @rule(id_=ids)
    def delete(self, id_: str) -> None:
        known = self.model.products.pop(id_, None)
        assert self.engine.delete([id_])[0].result == ("missing" if known is None else "deleted")
        for key in [key for key in self.model.entries if key[0] == id_]:
            del self.model.entries[key]

    @rule(space=space)
    def add_space(self, space: Space) -> None:
        self.engine.add_space(space)
        if space.key not in self.model.spaces:
            self.model.spaces[space.key] = space
            for id_ in self.model.products:
                self._follow(id_, space, Priority.BACKFILL)

    @rule(space=st.sampled_from((IMAGE, CROSS)))
    def drop_space(self, space: Space) -> None:
        if self.model.spaces.pop(space.key, None) is not None:
            self.engine.drop_space(space.key)
            for key in [key for key in self.model.entries if key[1] == space.key]:
                del self.model.entries[key]

    # chunks

    @rule(at_most=st.integers(1, 5), size=st.integers(1, 4))
    def open_chunks(self, at_most: int, size: int) -> None:
        due = self.model.due(self.clock.now)
        opened = self.engine.open_chunks(at_most=at_most, size=size)
        for chunk in opened:
            assert 1 <= len(chunk.product_ids) <= size
            assert {due[id_] for id_ in chunk.product_ids} == {chunk.priority}
            if len(chunk.product_ids) > 1:
                assert not any(e.alone for id_ in chunk.product_ids for e in self.model.pending(id_))
            self.model.chunks[chunk.id] = OpenChunk(chunk, self.clock.now)
        taken = self.model.taken()
        assert len(taken) == len(set(taken))
        left = {id_: priority for id_, priority in due.items() if id_ not in taken}
        assert not opened or len(self.model.chunks) <= at_most
        assert not left or len(self.model.chunks) >= at_most
        order = [chunk.priority for chunk in opened]
        assert order == sorted(order, key=list(Priority).index)
        assert Priority.BACKFILL not in order or Priority.LIVE not in left.values()

    def _some_chunk(self, which: int) -> OpenChunk | None:
        opened = list(self.model.chunks.values())
        return opened[which % len(opened)] if opened else None

    @rule(which=st.integers(0, 9))
    def start_chunk(self, which: int) -> None:
        opened = self._some_chunk(which)
        if opened is None:
            return
        assert self.engine.start_chunk(opened.chunk.id) == (None if opened.running else opened.chunk)
        if not opened.running and len(opened.chunk.product_ids) == 1:
            for entry in self.model.pending(opened.chunk.product_ids[0]):
                entry.attempts += 1
                entry.counted = True
        if not opened.running:
            opened.running, opened.beat = True, self.clock.now

    @rule(which=st.integers(0, 9))
    def beat_chunk(self, which: int) -> None:
        opened = self._some_chunk(which)
        if opened is not None:
            assert self.engine.beat_chunk(opened.chunk.id) is opened.running
            opened.beat = self.clock.now if opened.running else opened.beat

    @rule(which=st.integers(0, 9))
    def finish_chunk(self, which: int) -> None:
        opened = self._some_chunk(which)
        if opened is not None:
            self.engine.finish_chunk(opened.chunk.id)
            for entry in self._close(opened):
                entry.attempts -= entry.counted
                entry.counted = False

    def _close(self, opened: OpenChunk) -> list[Entry]:
        del self.model.chunks[opened.chunk.id]
        self.model.closed.append(opened.chunk.id)
        return [e for id_ in opened.chunk.product_ids for e in self.model.pending(id_)]

    @rule(seconds=st.sampled_from((1.0, 2.0, 7.0)))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def give_up_chunks(self) -> None:
        dead = [opened for opened in self.model.chunks.values() if opened.running and opened.beat <= self.clock.now - 7]
        assert self.engine.give_up_chunks(silent_for=7) == len(dead)
        for opened in dead:
            for entry in self._close(opened):
                if entry.counted and entry.attempts >= MAX_ATTEMPTS:
                    entry.state, entry.held = State.FAILED, None
                else:
                    entry.alone = True
                entry.counted = False

    @rule()
    def stale_chunks(self) -> None:
        stale = [opened for opened in self.model.chunks.values() if not opened.running and opened.beat <= self.clock.now - 7]
        found = self.engine.stale_chunks(queued_for=7)
        assert {c.id for c in found} == {opened.chunk.id for opened in stale}
        for opened in stale:
            opened.beat = self.clock.now

    @rule(which=st.integers(0, 9))
    def a_message_of_a_closed_chunk_comes_late(self, which: int) -> None:
        if self.model.closed:
            chunk_id = self.model.closed[which % len(self.model.closed)]
            assert self.engine.start_chunk(chunk_id) is None
            assert not self.engine.beat_chunk(chunk_id)
            self.engine.finish_chunk(chunk_id)

    # results

    @rule(id_=ids, space=space, late=st.booleans())
    def write_vectors(self, id_: str, space: Space, late: bool) -> None:
        self._deliver(Delivery(id_, space, self._content(id_, space, late), vectors=True))

    @rule(id_=ids, space=space, late=st.booleans(), final=st.booleans(), postpone=st.sampled_from((None, None, 3.0)))
    def write_failures(self, id_: str, space: Space, late: bool, final: bool, postpone: float | None) -> None:
        self._deliver(Delivery(id_, space, self._content(id_, space, late), False, final, postpone))

    @rule(which=st.integers(0, 99))
    def a_result_comes_again(self, which: int) -> None:
        """Doubled, late, or after one that was sent after it."""
        if self.model.delivered:
            self._deliver(self.model.delivered[which % len(self.model.delivered)])

    def _content(self, id_: str, space: Space, late: bool) -> tuple[str, ...]:
        entry = self.model.entries.get((id_, space.key))
        return ("moved on",) if late or entry is None else entry.parts

    def _deliver(self, sent: Delivery) -> None:
        self.model.delivered.append(sent)
        entry = self.model.entries.get((sent.product_id, sent.space.key))
        if entry is not None and entry.parts != sent.parts:
            entry = None
        if sent.vectors:
            self._deliver_vectors(sent, entry)
        else:
            self._deliver_failure(sent, entry)

    def _deliver_vectors(self, sent: Delivery, entry: Entry | None) -> None:
        write = vectors(sent.product_id, sent.space, sent.parts, value=value(sent.parts))
        (result,) = self.engine.write_vectors([write])
        if sent.product_id not in self.model.products:
            assert result.result == "missing"
        elif entry is None:
            assert result.result == "noop"
        else:
            assert result.result == ("noop" if entry.state is State.READY else "updated")
            entry.state, entry.attempts, entry.alone, entry.counted, entry.held = State.READY, 0, False, False, entry.parts

    def _deliver_failure(self, sent: Delivery, entry: Entry | None) -> None:
        write = failure(sent.product_id, sent.space, sent.parts, final=sent.final)
        self.engine.write_failures([replace(write, postpone=sent.postpone)])
        if entry is None or entry.state is not State.PENDING:
            return
        if sent.postpone is not None:
            entry.attempts -= entry.counted
            entry.counted, entry.not_before = False, self.clock.now + sent.postpone
            return
        entry.attempts += not entry.counted
        entry.counted, entry.alone = False, True
        if sent.final or entry.attempts >= MAX_ATTEMPTS:
            entry.state, entry.held = State.FAILED, None
        else:
            entry.not_before = self.clock.now + RETRY_PAUSE * 2 ** (entry.attempts - 1)

    @rule(id_=ids, text=texts, pictures=images, named=st.sets(space_keys))
    def requeue(self, id_: str, text: str, pictures: tuple[str, ...], named: set[str]) -> None:
        (document,) = self.engine.fetch([id_])
        if document is None:
            return
        stale = Requeue(id_, document.seq - 1, {}, frozenset(), document.numbering)
        self.engine.requeue([stale])
        parts: dict[Part, tuple[str, ...]] = {"text": (text,) if text else (), "image": pictures}
        self.engine.requeue([Requeue(id_, document.seq, parts, frozenset(named), document.numbering)])
        self.model.products[id_] = (text, pictures, self.model.products[id_][2])
        for space in self.model.spaces.values():
            old, wanted = self.model.entries.pop((id_, space.key), None), self.model.parts(id_, space)
            if wanted:
                moved = old is None or old.parts != wanted or space.key in named
                fresh = Entry(wanted, Priority.BACKFILL, held=old.held if old else None)
                self.model.entries[id_, space.key] = fresh if moved or old is None else old

    @rule(some=st.none() | st.lists(ids, max_size=2))
    def retry_failures(self, some: list[str] | None) -> None:
        failed = [e for (id_, _), e in self.model.entries.items() if e.state is State.FAILED and (some is None or id_ in some)]
        assert self.engine.retry_failures(some) == len(failed)
        for entry in failed:
            entry.state, entry.attempts, entry.not_before = State.PENDING, 0, 0.0
            entry.priority = Priority.BACKFILL if some is None else Priority.LIVE

    # what must hold after every step

    @invariant()
    def the_ledger_is_the_models(self) -> None:
        found = {(d.id, key): e for d in self.engine.fetch(IDS) if d for key, e in d.ledger.items()}
        assert {key: (e.state, e.parts, e.attempts) for key, e in found.items()} == {
            key: (e.state, e.parts, e.attempts) for key, e in self.model.entries.items()
        }

    @invariant()
    def vectors_are_those_of_the_content_that_was_written_last(self) -> None:
        for key, space in self.model.spaces.items():
            for id_, found in zip(IDS, self.engine.read_vectors(key, IDS), strict=True):
                entry = self.model.entries.get((id_, key))
                held = None if entry is None else entry.held
                assert (found is None) == (held is None)
                if found is not None and held is not None:
                    np.testing.assert_array_equal(found, rows(1, space.dim, value(held)))

    @invariant()
    def the_counters_equal_a_recount(self) -> None:
        status = self.engine.status()
        recount = {key: dict.fromkeys(State, 0) for key in self.model.spaces}
        for (_, key), entry in self.model.entries.items():
            recount[key][entry.state] += 1
        assert status.states == recount
        assert status.products == len(self.model.products)
        running = sum(opened.running for opened in self.model.chunks.values())
        assert (status.queue.running, status.queue.queued) == (running, len(self.model.chunks) - running)
