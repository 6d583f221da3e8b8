"""The embedded engine's store: bad folders and files, full disks, forks, threads and processes, and what its statements cost."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from hybrid_search.engines.attempts import RetryPolicy
from hybrid_search.engines.base import scan_all
from hybrid_search.engines.embedded import EmbeddedEngine, failures, ledger, spaces, store, vectors
from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.counts import read_counts
from hybrid_search.engines.embedded.tables import STORE_STEPS, TOWER_STEPS
from hybrid_search.errors import EngineUnavailable
from hybrid_search.types import Chunk, Priority
from tests.contracts.engine_cases import IMAGE, TEXT, failure, write
from tests.contracts.engine_cases import vectors as vectors_of

NOW = 1_700_000_000.0


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "home" / "store.sqlite", STORE_STEPS)
    yield opened
    opened.close()


def open_store(path: Path) -> Database:
    return Database(path, STORE_STEPS)


def put(db: Database, ids: list[str], *, text: str = "t1") -> None:
    store.put(db, [write(id_, text=text) for id_ in ids], priority=Priority.LIVE, now=NOW)


# folders and files that cannot be used


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EngineUnavailable, match="home = .*home.*HYBRID_SEARCH_HOME"):
        open_store(tmp_path / "home" / "store.sqlite")


def _open_as_nobody(folder: str) -> None:
    if os.geteuid() == 0:  # the superuser may write anywhere
        os.setuid(65_534)
    try:
        open_store(Path(folder) / "store.sqlite")
    except EngineUnavailable as refused:
        os._exit(0 if "no write permission" in str(refused) and "HYBRID_SEARCH_HOME" in str(refused) else 1)
    os._exit(2)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_folder_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        child = multiprocessing.get_context("fork").Process(target=_open_as_nobody, args=(folder,))
        child.start()
        child.join(30)
        assert child.exitcode == 0


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("product,price\n" * 1_000)
    with pytest.raises(EngineUnavailable, match=r"store\.sqlite is not a database"):
        open_store(tmp_path / "store.sqlite")
    assert (tmp_path / "store.sqlite").read_text().startswith("product,price")


def test_the_database_of_another_program(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        other.execute("CREATE TABLE products (id)")
    other.close()
    with pytest.raises(EngineUnavailable, match="belongs to another program"):
        open_store(tmp_path / "store.sqlite")


def test_a_store_written_by_newer_code(tmp_path: Path) -> None:
    Database(tmp_path / "store.sqlite", [*STORE_STEPS, "CREATE TABLE future (id);"]).close()
    with pytest.raises(EngineUnavailable, match="has version 2, this program knows versions up to 1.*Upgrade"):
        open_store(tmp_path / "store.sqlite")


def test_an_older_store_is_brought_up_once_and_keeps_what_it_holds(db: Database) -> None:
    put(db, ["a"])
    newer = [*STORE_STEPS, "CREATE TABLE future (id); INSERT INTO future VALUES (7);"]
    for _ in range(2):
        again = Database(db.path, newer)
        with again.read() as connection:
            assert connection.execute("SELECT id FROM future").fetchall() == [(7,)]
        assert store.fetch(again, ["a"])[0] is not None
        again.close()


def test_a_step_that_fails_changes_nothing(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Database(db.path, [*STORE_STEPS, "CREATE TABLE future (id); CREATE TABLE products (id);"])
    again = open_store(db.path)
    with again.read() as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'future'").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    again.close()


# full disks


def test_a_full_disk_loses_nothing(db: Database) -> None:
    """``max_page_count`` makes SQLite report what it reports when the disk is full."""
    put(db, ["a"])
    with db.read() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(EngineUnavailable, match=r"disk.*is full\. Free some space.*Nothing that was acknowledged is lost"):
        put(db, [f"b{i}" for i in range(5_000)])
    assert [d.id for d in store.scan(db, after="", limit=9)] == ["a"]
    with db.read() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    put(db, ["b"])
    assert [d.id for d in store.scan(db, after="", limit=9)] == ["a", "b"]
    assert read_counts(db, now=NOW).products == 2


def test_a_file_that_may_not_grow_loses_nothing(db: Database) -> None:
    """A real write that the system refuses, under a limit on file size in a process of its own."""
    put(db, ["a"])
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.test_embedded_store import open_store, put\n"
        "db = open_store(Path(sys.argv[1]))\n"
        "put(db, ['b'])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "put(db, [f'c{i}' for i in range(20_000)])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(db.path)], cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120
    )
    assert "EngineUnavailable" in ran.stderr and "Check free space, quota, file size limit" in ran.stderr
    assert [d.id for d in store.scan(db, after="", limit=9)] == ["a", "b"]
    put(db, ["c"])
    assert read_counts(db, now=NOW).products == 3


# threads, forks, processes


def test_threads_of_a_process_share_an_engine(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    threads = [threading.Thread(target=lambda n=n: [engine.put([write(f"{n}-{i}")]) for i in range(20)]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.status().products == 120
    engine.close()


def test_connections_of_threads_that_ended_are_closed(db: Database) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def one() -> None:
        thread = threading.Thread(target=lambda: put(db, [str(os.urandom(4).hex())]))
        thread.start()
        thread.join()

    one()
    before = descriptors()
    for _ in range(30):
        one()
    assert descriptors() <= before + 3


def _child_writes(engine: EmbeddedEngine, expected: int) -> None:
    engine.put([write("child")])
    seen = len(engine.scan())
    engine.close()
    os._exit(0 if seen == expected else 1)


def fork_and_write(engine: EmbeddedEngine, expected: int) -> None:
    """A forked child writes to the engine it inherits and sees ``expected`` products."""
    child = multiprocessing.get_context("fork").Process(target=_child_writes, args=(engine, expected))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def open_files(pid: str = "self") -> int:
    return sum(
        "store.sqlite" in os.readlink(f"/proc/{pid}/fd/{fd}")
        for fd in os.listdir(f"/proc/{pid}/fd")
        if fd.isdigit() and os.path.islink(f"/proc/{pid}/fd/{fd}")
    )


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_engine_goes_on_in_parent_and_child_after_a_fork(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    engine.put([write("parent")])
    fork_and_write(engine, 2)
    engine.put([write("later")])
    assert [d.id for d in engine.scan()] == ["child", "later", "parent"]
    engine.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_inherits_no_connection(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    engine.put([write("parent")])
    assert open_files() > 0
    pid = os.fork()
    if pid == 0:
        os._exit(open_files())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    engine.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_for_the_transactions_of_other_threads(tmp_path: Path) -> None:
    db = open_store(tmp_path / "store.sqlite")
    engine = EmbeddedEngine(tmp_path, index=False)
    inside = threading.Event()

    def one_write() -> None:
        with db.write() as connection:
            inside.set()
            time.sleep(0.3)
            connection.execute("INSERT INTO products (id, seq, text_seq, body, parts) VALUES ('slow', 1, 1, '{}', '{}')")

    writer = threading.Thread(target=one_write)
    writer.start()
    inside.wait()
    fork_and_write(engine, 2)
    writer.join()
    assert [d.id for d in engine.scan()] == ["child", "slow"]
    with db.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    engine.close()


def _chunk_everything(home: str, together: Barrier, answers: multiprocessing.Queue[list[Chunk]]) -> None:
    engine = EmbeddedEngine(Path(home), index=False)
    found: list[Chunk] = []
    together.wait(60)
    while opened := engine.open_chunks(at_most=1_000, size=3):
        found += opened
        engine.put([write(f"more{os.getpid()}-{len(found)}", text="")] if len(found) < 400 else [])
    engine.close()
    answers.put(found)


def test_processes_that_chunk_at_once_never_share_a_product(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    engine.add_space(TEXT)
    engine.add_space(IMAGE)
    engine.put([write(f"p{i}") for i in range(900)])
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[list[Chunk]] = context.Queue()
    together = context.Barrier(3)
    workers = [context.Process(target=_chunk_everything, args=(str(tmp_path), together, answers)) for _ in range(3)]
    for worker in workers:
        worker.start()
    chunks = [chunk for _ in workers for chunk in answers.get(timeout=60)]
    for worker in workers:
        worker.join(30)
    ids = [id_ for chunk in chunks for id_ in chunk.product_ids]
    assert len(ids) == len(set(ids))
    assert set(ids) == {d.id for d in scan_all(engine)} >= {f"p{i}" for i in range(900)}
    engine.close()


def test_processes_that_make_a_folder_at_once_agree(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.test_embedded_store import open_store, put; put(open_store(Path(sys.argv[1])), [sys.argv[2]])"
    command = [sys.executable, "-c", code, str(tmp_path / "new" / "store.sqlite")]
    children = [subprocess.Popen([*command, str(n)], cwd=Path(__file__).parents[1]) for n in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    db = open_store(tmp_path / "new" / "store.sqlite")
    assert [d.id for d in store.scan(db, after="", limit=9)] == ["0", "1", "2", "3"]
    db.close()


# what derived structures rely on


def rows(db: Database, statement: str) -> list[tuple[object, ...]]:
    with db.read() as connection:
        return connection.execute(statement).fetchall()


def test_words_move_their_own_sequence(db: Database) -> None:
    store.put(db, [write("a", title="one", price=1)], priority=Priority.LIVE, now=NOW)
    for price, title in ((2, "one"), (2, "two"), (3, "two")):
        store.put(db, [write("a", title=title, price=price)], priority=Priority.LIVE, now=NOW)
    assert rows(db, "SELECT seq, text_seq FROM products") == [(4, 3)]
    store.delete(db, ["a"])
    assert rows(db, "SELECT seq, text_seq, deleted, body FROM products") == [(5, 5, 1, b"{}")]
    store.put(db, [write("a", title="two", price=3)], priority=Priority.LIVE, now=NOW)
    assert rows(db, "SELECT slot, seq, text_seq, deleted FROM products") == [(1, 6, 6, 0)]


def test_a_slot_is_never_given_to_another_id(db: Database) -> None:
    put(db, ["a", "b"])
    store.delete(db, ["b"])
    put(db, ["c"])
    put(db, ["b"])
    assert rows(db, "SELECT id, slot FROM products ORDER BY slot") == [("a", 1), ("b", 2), ("c", 3)]


def test_every_change_of_vectors_is_numbered(db: Database) -> None:
    spaces.add_space(db, TEXT, now=NOW)  # 1
    put(db, ["a"])  # 2
    vectors.write_vectors(db, [vectors_of("a", TEXT, ("t1",))], now=NOW)  # 3
    assert rows(db, "SELECT seq, rows, length(data) FROM vectors") == [(3, 1, 12)]
    put(db, ["a"], text="t2")  # 4: the old vectors stay
    assert rows(db, "SELECT seq, rows FROM vectors") == [(3, 1)]
    policy = RetryPolicy(max_attempts=3, pause=2)
    failures.write_failures(db, [failure("a", TEXT, ("t2",))], policy, now=NOW)
    assert rows(db, "SELECT last FROM sequence") == [(4,)]
    failures.write_failures(db, [failure("a", TEXT, ("t2",), final=True)], policy, now=NOW)  # 5
    assert rows(db, "SELECT seq, rows, data FROM vectors") == [(5, 0, None)]
    spaces.drop_space(db, "text_1")  # 6
    spaces.add_space(db, TEXT, now=NOW)  # 7
    assert rows(db, "SELECT ordinal FROM spaces") == [(7,)]
    assert rows(db, "SELECT count(*) FROM vectors") == [(0,)]


def test_every_store_has_a_name_of_its_own(db: Database, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other.sqlite")
    assert rows(db, "SELECT store FROM sequence") != rows(other, "SELECT store FROM sequence")
    other.close()


def test_durable_files_flush_every_commit(db: Database, tmp_path: Path) -> None:
    towers = Database(tmp_path / "towers.sqlite", TOWER_STEPS, durable=False)
    assert [rows(d, "PRAGMA synchronous") for d in (db, towers)] == [[(2,)], [(1,)]]
    assert rows(db, "PRAGMA journal_mode") == [("wal",)]
    towers.close()


# what statements cost: counted, not timed


def steps(db: Database, act: Callable[[], object]) -> int:
    """Steps of SQLite's virtual machine during ``act``."""
    counted = 0

    def one() -> int:
        nonlocal counted
        counted += 1
        return 0

    with db.read() as connection:
        connection.set_progress_handler(one, 1)
    act()
    with db.read() as connection:
        connection.set_progress_handler(None, 1)
    return counted


def test_opening_chunks_costs_the_same_whatever_is_pending(db: Database) -> None:
    spaces.add_space(db, TEXT, now=NOW)
    costs: list[int] = []
    for name, more in (("a", 300), ("b", 6_000)):
        put(db, [f"{name}{i}" for i in range(more)])
        found: list[Chunk] = []
        costs.append(steps(db, lambda found=found: found.extend(ledger.open_chunks(db, at_most=len(costs) + 1, size=50, now=NOW))))  # type: ignore[misc]
        assert [len(c.product_ids) for c in found] == [50]
    assert costs[1] < 1.2 * costs[0]


def test_status_costs_the_same_whatever_there_is(db: Database) -> None:
    spaces.add_space(db, TEXT, now=NOW)
    costs: list[int] = []
    for name, more in (("a", 100), ("b", 3_000)):
        put(db, [f"{name}{i}" for i in range(more)])
        costs.append(steps(db, lambda: read_counts(db, now=NOW)))
    assert costs[1] <= costs[0] + 10


def test_no_everyday_statement_scans_a_large_table(db: Database) -> None:
    spaces.add_space(db, TEXT, now=NOW)
    seen: list[str] = []
    with db.read() as connection:
        connection.set_trace_callback(seen.append)
    put(db, ["a", "b", "c"])
    put(db, ["a"], text="t2")
    store.fetch(db, ["a"])
    store.scan(db, after="a", limit=2)
    (chunk,) = ledger.open_chunks(db, at_most=9, size=9, now=NOW)
    ledger.start_chunk(db, chunk.id, now=NOW)
    ledger.beat_chunk(db, chunk.id, now=NOW)
    vectors.write_vectors(db, [vectors_of("a", TEXT, ("t2",))], now=NOW)
    vectors.read_vectors(db, "text_1", ["a"])
    failures.write_failures(db, [failure("b", TEXT, ("t1",), final=True)], RetryPolicy(3, 2), now=NOW)
    ledger.give_up_chunks(db, silent_for=0, max_attempts=3, now=NOW)
    for chunk in ledger.open_chunks(db, at_most=9, size=9, now=NOW):
        ledger.start_chunk(db, chunk.id, now=NOW)
        ledger.finish_chunk(db, chunk.id)
    ledger.stale_chunks(db, queued_for=0, now=NOW)
    failures.failures(db, limit=9, after=("", ""))
    failures.retry_failures(db, ["b"], now=NOW)
    store.delete(db, ["c"])
    read_counts(db, now=NOW)
    with db.read() as connection:
        connection.set_trace_callback(None)
        statements = {s for s in seen if s.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))}
        plans = {s: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {s}")] for s in statements}
    assert len(plans) > 30
    allowed = (
        "SCAN w ",
        "SCAN json_each",
        "SCAN chunks",
        "SCAN spaces",
        "SCAN counts",
        "SCAN sequence",
        "SCAN l USING INDEX ledger_failed",
    )
    scans = {s: line for s, plan in plans.items() for line in plan if line.startswith("SCAN") and not f"{line} ".startswith(allowed)}
    assert scans == {}


def test_close_waits_for_a_transaction_of_another_thread_and_refuses_the_next(tmp_path: Path) -> None:
    db = open_store(tmp_path / "store.sqlite")
    inside, stored, refused = threading.Event(), threading.Event(), threading.Event()

    def write_twice() -> None:
        with db.write() as connection:
            inside.set()
            time.sleep(0.3)
            connection.execute("UPDATE sequence SET last = 7")
        stored.set()
        with pytest.raises(EngineUnavailable, match=r"store\.sqlite is closed"):
            put(db, ["a"])
        refused.set()

    writer = threading.Thread(target=write_twice)
    writer.start()
    inside.wait()
    db.close()
    assert stored.wait(5)
    writer.join()
    assert refused.is_set()
    again = open_store(tmp_path / "store.sqlite")
    with again.read() as connection:
        assert connection.execute("SELECT last FROM sequence").fetchone()[0] == 7
    again.close()
