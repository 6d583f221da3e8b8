"""Chunks on real servers: processes that die between any two requests, several that open chunks at once, and what it costs."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hybrid_search.engines.cluster.bulk import Action
from hybrid_search.engines.cluster.candidates import WINDOW
from hybrid_search.engines.cluster.chunk_store import claim_id, send
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import Reply, Transport
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.types import Priority, State
from tests.contracts.conftest import empty
from tests.contracts.engine_cases import IMAGE, MAX_ATTEMPTS, RETRY_PAUSE, TEXT, Clock, entry, failure, vectors, write

OPEN: Mapping[str, Callable[..., ClusterEngine]] = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
SILENCE = 12.0


class Killed(BaseException):
    """The process is dead: nothing after this line is carried out."""


@dataclass
class Mortal:
    """A transport whose process dies at its n-th request from now on: the server carries it out, nobody sees the answer."""

    inner: Transport
    left: int | None = None
    sent: int = 0
    url: str = ""

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        ignore: tuple[int, ...] = (),
    ) -> Reply:
        dies = self.left == 0
        self.left = None if self.left is None else self.left - 1
        self.sent += 1
        reply = self.inner.request(method, path, body, params=params, timeout=timeout, ignore=ignore)
        if dies:
            raise Killed
        return reply

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in OPEN])
def installation(request: pytest.FixtureRequest) -> Iterator[Server]:
    url = request.getfixturevalue(f"{request.param}_url")
    opened = OPEN[request.param](url, prefix=f"chunks-{uuid.uuid4().hex[:8]}")
    yield opened.server
    remove_all(opened.server.transport, opened.server.indices)
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(installation: Server) -> Server:
    empty(installation)
    return installation


def process(server: Server, clock: Clock) -> tuple[ClusterEngine, Mortal]:
    """An engine as another process has it, and the transport by which it dies."""
    mortal = Mortal(server.transport)
    own = Server(mortal, server.dialect, server.indices)
    return ClusterEngine(own, max_attempts=MAX_ATTEMPTS, retry_pause=RETRY_PAUSE, clock=clock), mortal


def held_claims(server: Server) -> dict[str, str]:
    """Chunk by product."""
    server.transport.request("POST", f"/{server.indices.chunks}/_refresh")
    query = {"size": WINDOW, "query": {"term": {"kind": "claim"}}}
    hits = server.transport.request("POST", f"/{server.indices.chunks}/_search", query).body["hits"]["hits"]
    return {hit["_source"]["product_ids"][0]: hit["_source"]["chunk"] for hit in hits}


def all_work_is_done_once(server: Server, clock: Clock, ids: set[str]) -> None:
    """Whatever a dead process left: everything that is pending can be chunked, each product in one chunk, and it ends."""
    engine, _ = process(server, clock)
    for _ in range(20):
        clock.now += SILENCE
        engine.give_up_chunks(silent_for=SILENCE)
        chunks = [*engine.stale_chunks(queued_for=SILENCE), *engine.open_chunks(at_most=99, size=3)]
        times = Counter(id_ for chunk in chunks for id_ in chunk.product_ids)
        assert set(times.values()) <= {1}, "a product is in two chunks"
        for chunk in chunks:
            assert engine.start_chunk(chunk.id) == chunk
            engine.write_vectors([vectors(id_, TEXT, ("t1",)) for id_ in chunk.product_ids])
            engine.finish_chunk(chunk.id)
        status = engine.status()
        if status.states["text_1"][State.PENDING] == 0 and (status.queue.queued, status.queue.running) == (0, 0):
            break
    assert status.states["text_1"] == {State.PENDING: 0, State.READY: len(ids), State.FAILED: 0}
    assert (status.queue.queued, status.queue.running) == (0, 0)
    assert held_claims(server) == {}


STEPS: Mapping[str, Callable[[ClusterEngine, Clock], None]] = {
    "open": lambda engine, clock: _ignore(engine.open_chunks(at_most=99, size=3)),
    "start": lambda engine, clock: _ignore(engine.start_chunk(_first(engine))),
    "finish": lambda engine, clock: engine.finish_chunk(_first(engine)),
    "give up": lambda engine, clock: _ignore(engine.give_up_chunks(silent_for=0)),
}
BEFORE: Mapping[str, tuple[str, ...]] = {"open": (), "start": ("open",), "finish": ("open", "start"), "give up": ("open", "start")}


def _ignore(_: object) -> None: ...


def _first(engine: ClusterEngine) -> str:
    """The chunk of the product that is alone."""
    return held_claims(engine.server)["p6"]


@pytest.mark.parametrize("step", STEPS)
def test_a_process_may_die_at_any_request(server: Server, clock: Clock, step: str) -> None:
    """After each of them; before one is the same as after the one before."""
    ids = {f"p{i}" for i in range(7)}
    for dies_at in itertools.count():
        empty(server)
        engine, mortal = process(server, clock)
        engine.add_space(TEXT)
        engine.put([write(id_) for id_ in sorted(ids)])
        for earlier in BEFORE[step]:
            STEPS[earlier](engine, clock)
        claims = held_claims(server) if BEFORE[step] else {}
        looks = 2 if step in ("start", "finish") else 0  # the test's own, at the claims
        mortal.left = dies_at + looks
        try:
            STEPS[step](engine, clock)
        except Killed:
            pass
        else:
            break
        left = held_claims(server)
        assert all(claims.get(id_, chunk) == chunk for id_, chunk in left.items()), "a claim changed hands"
        all_work_is_done_once(server, clock, ids)
    assert dies_at >= 3
    all_work_is_done_once(server, clock, ids)


def test_processes_that_open_chunks_at_once_share_no_product(server: Server, clock: Clock) -> None:
    engine, _ = process(server, clock)
    engine.add_space(TEXT)
    ids = {f"p{i:03}" for i in range(500)}
    engine.put([write(id_) for id_ in sorted(ids)])
    found: list[list[str]] = [[] for _ in range(4)]
    barrier = threading.Barrier(4)

    def feed(number: int) -> None:
        own, _ = process(server, clock)
        barrier.wait()
        for size in (7, 5, 64, 64, 64):
            found[number] += [id_ for chunk in own.open_chunks(at_most=999, size=size) for id_ in chunk.product_ids]

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [id_ for ids_ in found for id_ in ids_]
    assert sorted(everything) == sorted(ids)
    assert set(held_claims(server)) == ids


def test_a_chunk_costs_a_handful_of_requests(server: Server, clock: Clock) -> None:
    engine, mortal = process(server, clock)
    engine.add_space(TEXT)
    ids = [f"p{i:03}" for i in range(64)]
    engine.put([write(id_) for id_ in ids])

    def cost(step: Callable[[], object]) -> int:
        before = mortal.sent
        step()
        return mortal.sent - before

    opened = []
    assert cost(lambda: opened.extend(engine.open_chunks(at_most=9, size=64))) <= 9
    (chunk,) = opened
    assert len(chunk.product_ids) == 64
    assert cost(lambda: engine.start_chunk(chunk.id)) == 1
    assert cost(lambda: engine.beat_chunk(chunk.id)) == 1
    assert cost(lambda: engine.write_vectors([vectors(id_, TEXT, ("t1",)) for id_ in ids])) <= 4  # incl. whether a space was dropped
    assert cost(lambda: engine.finish_chunk(chunk.id)) <= 3
    assert cost(lambda: engine.open_chunks(at_most=9, size=64)) <= 6
    assert cost(lambda: engine.give_up_chunks(silent_for=SILENCE)) <= 3


def test_what_a_search_finds_and_is_true_no_more_is_let_go(server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the search and the claim another process may have done the work, counted a failure or deleted the product."""
    engine, mortal = process(server, clock)
    other, _ = process(server, clock)
    engine.add_space(TEXT)
    engine.put([write(id_) for id_ in "abcd"])
    sent = mortal.request

    def meanwhile(method: str, path: str, *args: Any, **more: Any) -> Reply:
        if path == "/_bulk" and other.fetch(["a"])[0] is not None and entry(other, "b", TEXT).state is State.PENDING:
            other.delete(["a"])
            other.write_vectors([vectors("b", TEXT, ("t1",))])
            other.write_failures([failure("c", TEXT, ("t1",))])
        return sent(method, path, *args, **more)

    monkeypatch.setattr(mortal, "request", meanwhile)
    (chunk,) = engine.open_chunks(at_most=9, size=9)
    assert chunk.product_ids == ("d",)
    assert set(held_claims(server)) == {"d"}


def test_claims_without_a_chunk_are_removed(server: Server, clock: Clock) -> None:
    """A process that stood still for longer than the silence: others closed its chunk, then it went on to claim, and died."""
    engine, _ = process(server, clock)
    engine.add_space(TEXT)
    engine.put([write("a"), write("b")])
    orphan = Action("create", server.indices.chunks, claim_id("a"), {"kind": "claim", "chunk": "gone", "product_ids": ["a"]})
    send(engine.server, [orphan])
    (chunk,) = engine.open_chunks(at_most=9, size=9)
    assert chunk.product_ids == ("b",)
    assert engine.give_up_chunks(silent_for=SILENCE) == 0
    assert set(held_claims(server)) == {"b"}
    assert [c.product_ids for c in engine.open_chunks(at_most=9, size=9)] == [("a",)]


def test_an_answer_that_was_lost_starts_a_chunk_once(server: Server, clock: Clock) -> None:
    """The transport repeats what may have been carried out: the repeat must neither fail nor count a second attempt."""
    engine, mortal = process(server, clock)
    engine.add_space(TEXT)
    engine.put([write("a")])
    inner = mortal.inner

    class Repeating(Mortal):
        def request(self, method: str, path: str, *args: Any, **more: Any) -> Reply:
            if "_update/" in path or path == "/_bulk":
                inner.request(method, path, *args, **more)
            return inner.request(method, path, *args, **more)

    engine.server.transport = Repeating(inner)
    (chunk,) = engine.open_chunks(at_most=9, size=9)
    assert chunk.product_ids == ("a",)
    assert engine.start_chunk(chunk.id) == chunk
    assert entry(engine, "a", TEXT).attempts == 1
    engine.finish_chunk(chunk.id)
    assert entry(engine, "a", TEXT).attempts == 0
    assert held_claims(server) == {}


def test_products_of_a_new_space_are_found_although_nothing_was_written_to_them(server: Server, clock: Clock) -> None:
    engine, _ = process(server, clock)
    engine.put([write("a"), write("words", images=()), write("gone")])
    engine.delete(["gone"])
    before = engine.status().seq
    engine.add_space(IMAGE)
    assert engine.status().seq == before
    (chunk,) = engine.open_chunks(at_most=9, size=9)
    assert (chunk.product_ids, chunk.priority) == (("a",), Priority.BACKFILL)
