"""A process that writes to the store is killed at any moment: whatever it was told is written is there, and nothing is there by halves."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybrid_search.engines.base import scan_all
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.types import Document, State
from tests.integration.store_child import PRODUCTS, vectors_of, version_of

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
SILENCE = 12.0


class Acknowledged:
    """What the child was told, by product: the newest version put, whether it is gone, the newest version that was ready."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.gone: set[str] = set()
        self.ready: dict[str, int] = {}
        self.lines = 0

    def read(self, line: str) -> int:
        """Take note of a line; returns the newest version of any product."""
        what, id_, *version = line.split()
        self.lines += 1
        if what == "gone":
            self.gone.add(id_)
        elif what == "put":
            self.versions[id_] = int(version[0])
            self.gone.discard(id_)
        else:
            self.ready[id_] = int(version[0])
        return max(self.versions.values())


def run_and_kill(home: Path, first: int, seconds: float, acknowledged: Acknowledged) -> int:
    """Let a child write, kill it ``seconds`` after its first word, read what it still had said; returns the newest acknowledged version."""
    command = [sys.executable, "-m", "tests.integration.store_child", str(home), str(first)]
    newest = first
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        newest = acknowledged.read(child.stdout.readline())
        time.sleep(seconds)
        child.kill()
        for line in child.stdout:
            if line.endswith("\n"):  # the last word may be cut
                newest = acknowledged.read(line)
    return newest


def version(document: Document) -> int:
    """The version of a stored product, all of whose parts must agree on it."""
    found = int(document.body["price"])
    written = version_of(document.id, found)
    assert document.body == written.product.body()
    assert {entry.parts for entry in document.ledger.values()} == set(written.parts.values())
    return found


def check(engine: EmbeddedEngine, acknowledged: Acknowledged) -> None:
    """Every acknowledged change is there; one more, which was written but not told, may be."""
    found = {document.id: document for document in scan_all(engine)}
    for id_, told in acknowledged.versions.items():
        if id_ in found:
            assert version(found[id_]) >= told
            assert id_ not in acknowledged.gone or version(found[id_]) > told
        else:
            assert id_ in acknowledged.gone or told % 5 == 0  # deleted just before the kill
    for id_, document in found.items():
        for entry in document.ledger.values():
            vectors = engine.read_vectors(entry.space, [id_])[0]
            if entry.state is State.READY:
                assert vectors is not None and (vectors == vectors_of(version(document))).all()
            elif id_ in acknowledged.ready:
                assert version(document) > acknowledged.ready[id_] or vectors is None


def check_file(home: Path) -> None:
    """SQLite finds no fault, and the counters equal a recount."""
    plain = sqlite3.connect(home / "store.sqlite")
    assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    recount = plain.execute("SELECT space, state, count(*) FROM ledger GROUP BY 1, 2 ORDER BY 1, 2").fetchall()
    assert plain.execute("SELECT * FROM counts WHERE space <> '' AND n <> 0 ORDER BY space, state").fetchall() == recount
    living = plain.execute("SELECT count(*) FROM products WHERE NOT deleted").fetchall()
    assert plain.execute("SELECT n FROM counts WHERE space = ''").fetchall() == living
    marked = plain.execute("SELECT DISTINCT slot, chunk FROM ledger WHERE chunk IS NOT NULL").fetchall()
    assert set(marked) <= set(plain.execute("SELECT slot, chunk FROM members"))
    assert plain.execute("SELECT count(*) FROM members WHERE chunk NOT IN (SELECT id FROM chunks)").fetchone() == (0,)
    plain.close()


@pytest.mark.slow
def test_no_acknowledged_write_is_lost_over_twenty_kills(tmp_path: Path) -> None:
    moments = random.Random(7)
    acknowledged = Acknowledged()
    newest = 0
    for _ in range(KILLS):
        newest = run_and_kill(tmp_path, newest + 1, moments.uniform(0, 0.4), acknowledged)
        engine = EmbeddedEngine(tmp_path, index=False)
        newest = max([newest, *(version(document) for document in scan_all(engine))])
        check(engine, acknowledged)
        engine.close()
        check_file(tmp_path)
    assert acknowledged.lines > KILLS * 7
    finish_what_is_left(tmp_path)


def finish_what_is_left(home: Path) -> None:
    """The chunks of the dead are given up, and whatever is pending can be worked on: nothing hangs for ever."""
    later = time.time() + 1_000
    engine = EmbeddedEngine(home, index=False, clock=lambda: later)
    queued = engine.stale_chunks(queued_for=SILENCE)
    engine.give_up_chunks(silent_for=SILENCE)
    for chunk in queued:
        engine.start_chunk(chunk.id)
        engine.finish_chunk(chunk.id)
    pending = {d.id for d in scan_all(engine) if any(e.state is State.PENDING for e in d.ledger.values())}
    chunked = [id_ for chunk in engine.open_chunks(at_most=10 * PRODUCTS, size=4) for id_ in chunk.product_ids]
    assert sorted(chunked) == sorted(pending)
    engine.close()
