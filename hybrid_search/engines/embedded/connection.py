"""Connections to one SQLite file: one per thread, none across a fork, short transactions, errors in the user's words.

Durability: WAL mode. A commit survives the death of any process whatever the setting; ``durable`` files also ask the disk to flush
each commit (``synchronous = FULL``), so that an acknowledged write survives a power cut too. Files that can be computed again
take ``synchronous = NORMAL``: a power cut may cost their last commits, never their consistency.

Forks: SQLite keeps its locks in the process's memory, so a child that inherits an open connection believes in locks that it does not
hold, even on connections of its own. Before a fork all connections are therefore closed, once the transactions of other threads
have ended; parent and child open new ones when they next need them. (``subprocess`` does not fork in this sense.)
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from hybrid_search.engines.embedded.faults import explaining
from hybrid_search.engines.embedded.tables import APPLICATION_ID
from hybrid_search.errors import EngineUnavailable

BUSY_SECONDS = 30.0
"""How long a writer waits for the others before it gives up."""
CACHE_KIB = 8_192
WAL_KEPT_BYTES = 64_000_000
"""To this size the write-ahead log shrinks back after a large transaction."""


class Database:
    """One SQLite file, made or brought to the newest version when opened. May be shared by threads; a forked child opens its own connections.

    Args:
        path: the file; its folder is created when missing.
        steps: the scripts that take an empty file to the newest version, one per version.
        durable: whether commits survive a power cut (see above).

    Raises ``EngineUnavailable`` when the folder cannot be written, or the file is not ours, damaged, or written by newer code.
    """

    def __init__(self, path: Path, steps: Sequence[str], *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._guard = threading.Condition()
        self._open: dict[int, tuple[weakref.ref[threading.Thread], sqlite3.Connection]] = {}
        self._busy: set[int] = set()  # threads inside a transaction
        self._closed = False
        _databases.add(self)
        _prepare_folder(path.parent)
        with explaining(path), FileLock(path.with_suffix(".lock")), self._connection() as connection:
            _bring_up(connection, path, steps)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot of the file for the block. Keep it short: the log cannot shrink below it. Do not nest."""
        yield from self._transaction("BEGIN")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing; writers wait for one another up to ``BUSY_SECONDS``. Do not nest."""
        yield from self._transaction("BEGIN IMMEDIATE")

    def close(self) -> None:
        """Close this process's connections, once the transactions of other threads have ended; safe to call twice.

        Whoever comes later gets ``EngineUnavailable``. A connection still busy after ``BUSY_SECONDS`` is left to its thread: SQLite
        crashes the process when one is closed under a running statement.
        """
        with self._guard:
            self._closed = True
            self._guard.wait_for(lambda: self._busy <= {threading.get_ident()}, timeout=BUSY_SECONDS)
            for ident in set(self._open) - self._busy:
                self._open.pop(ident)[1].close()

    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with explaining(self.path), self._connection() as connection:
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, which nobody closes inside the block."""
        me, ident = threading.current_thread(), threading.get_ident()
        with self._guard:
            if self._closed:
                raise EngineUnavailable(f"{self.path} is closed.", field="home", value=str(self.path), remedy="Open the engine again.")
            held = self._open.get(ident)
            if held is None or held[0]() is not me:
                self._close_dead()
                held = (weakref.ref(me), _connect(self.path, durable=self._durable))
                self._open[ident] = held
            self._busy.add(ident)
        try:
            yield held[1]
        finally:
            with self._guard:
                self._busy.discard(ident)
                self._guard.notify_all()

    def _close_dead(self) -> None:
        for ident, (thread, connection) in list(self._open.items()):
            owner = thread()
            if owner is None or not owner.is_alive():
                connection.close()
                del self._open[ident]

    def _before_fork(self) -> None:
        self._guard.acquire()
        self._guard.wait_for(lambda: self._busy <= {threading.get_ident()}, timeout=BUSY_SECONDS)
        for ident in set(self._open) - self._busy:
            self._open.pop(ident)[1].close()

    def _after_fork_in_parent(self) -> None:
        self._guard.release()

    def _after_fork_in_child(self) -> None:
        _abandoned.extend(connection for _, connection in self._open.values())
        self._guard = threading.Condition()
        self._open = {}
        self._busy = set()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_fork_turn = threading.Lock()
_forking: list[Database] = []
_abandoned: list[sqlite3.Connection] = []
"""Connections that were inside a transaction at a fork. SQLite forbids even closing them in the child, so they are kept for ever."""


def _before_fork() -> None:
    _fork_turn.acquire()
    _forking.extend(_databases)
    for database in _forking:
        database._before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop()._after_fork_in_parent()
    _fork_turn.release()


def _after_fork_in_child() -> None:
    global _fork_turn
    _fork_turn = threading.Lock()
    while _forking:
        _forking.pop()._after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _prepare_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise _unusable(folder, err.strerror or str(err)) from err
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "no write permission")


def _unusable(folder: Path, reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"home = {str(folder)!r} cannot be used: {reason}.",
        field="home",
        value=str(folder),
        remedy="Give this user write permission on it, or set HYBRID_SEARCH_HOME to another folder.",
    )


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _bring_up(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Make or migrate the file. The caller holds the file lock: switching to WAL does not wait for others."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not empty and owner != APPLICATION_ID:
        raise EngineUnavailable(
            f"{path} belongs to another program.",
            field="home",
            value=str(path),
            remedy="Choose another `home` or move the file away.",
        )
    if version > len(steps):
        raise EngineUnavailable(
            f"{path} has version {version}, this program knows versions up to {len(steps)}.",
            field="home",
            value=str(path),
            remedy="Upgrade hybrid-search, or choose another `home`.",
        )
    if empty:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
    for reached, step in enumerate(steps[version:], start=version + 1):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {reached};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step} {marks} COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
