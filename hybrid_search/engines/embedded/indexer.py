"""The thread that keeps the derived files up to date, in whichever process holds the lock of the folder.

Every process that may index tries for ``indexer.lock``; the operating system gives it back when its holder dies, however that
happens, and the next one continues from the manifest.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import weakref
from pathlib import Path

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.derive import Deriver
from hybrid_search.engines.embedded.upkeep import Upkeep
from hybrid_search.engines.embedded.vector_files import VectorDtype
from hybrid_search.errors import EngineUnavailable

EVERY = 0.05
"""Seconds between two looks at the store's sequence."""
PAUSE = 1.0
"""Seconds before the next try for the lock, and after a failure."""

_log = logging.getLogger(__name__)
_locks: weakref.WeakSet[IndexerLock] = weakref.WeakSet()


class IndexerLock:
    """An exclusive lock on a file, held by the open file: it ends with the process. A forked child gives up its copy at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        _locks.add(self)

    def acquire(self) -> bool:
        """Whether this object has the lock now; never waits."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Give it back; safe to call twice. In a forked child this closes the copy and leaves the parent's lock alone."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _leave_to_parent() -> None:
    for lock in list(_locks):
        lock.release()


os.register_at_fork(after_in_child=_leave_to_parent)


class Indexer:
    """Runs in a daemon thread from ``start`` to ``close``; ``error`` says why derived files cannot be written, ``None`` when they can."""

    def __init__(self, home: Path, folder: Path, db: Database, dtype: VectorDtype) -> None:
        self._db = db
        self._lock = IndexerLock(home / "indexer.lock")
        self._folder = folder
        self._dtype: VectorDtype = dtype
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: str | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="embedded-indexer", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop after the pass under way and give the lock back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._lock.release()

    def _run(self) -> None:
        waiting = False
        while not self._stop.is_set():
            try:
                if self._lock.acquire():
                    _log.info("this process indexes %s", self._folder)
                    waiting = False
                    self._index()
                elif not waiting:
                    _log.info("another process indexes %s: this one takes over when that one ends", self._folder)
                    waiting = True
            except (EngineUnavailable, OSError, ValueError) as err:
                self.error = f"{self._folder}: {err}"
                _log.warning("the search index cannot be brought up to date: %s", self.error)
            self._stop.wait(PAUSE)

    def _index(self) -> None:
        """Follow the store until stopped; starts from the manifest, so a failure or another holder before us leaves nothing to repair."""
        deriver = Deriver(self._folder, self._db, self._dtype)
        upkeep = Upkeep(self._folder)
        try:
            while not self._stop.is_set():
                changed = deriver.catch_up()
                if deriver.manifest is not None and (tidied := upkeep.tidy(deriver.manifest)) is not deriver.manifest:
                    deriver.publish(tidied)
                self.error = None
                if not changed:
                    self._stop.wait(EVERY)
        finally:
            upkeep.close()
