"""A worker that was told to stop has ended ``stop_within`` seconds later, whatever keeps it.

Celery waits for its children without limit, and for the results of children that are gone: a product whose tower hangs, a child killed
while it was handed a chunk. What is then given up is found by the ledger, as after any crash.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from celery.signals import worker_shutting_down

REAPING = 2.0
"""Seconds that killed children may take to be gone."""

_log = logging.getLogger(__name__)


def stop_in_time(worker: Any, seconds: float) -> None:
    """From the first signal to stop on, the worker has ``seconds`` left."""
    told = threading.Event()

    def count_down(exitcode: int = 0, **_: object) -> None:
        if not told.is_set():
            told.set()
            threading.Thread(target=_end_late, args=(worker, seconds, exitcode), name="stop-in-time", daemon=True).start()

    worker_shutting_down.connect(count_down, weak=False)


def _end_late(worker: Any, seconds: float, exitcode: int) -> None:
    threading.Event().wait(seconds)
    _log.warning(
        "told to stop %g s ago (stop_within) and still not done: the rest is given up, and another worker, or the next, does it", seconds
    )
    try:
        kill_children(worker)
        logging.shutdown()
    finally:
        os._exit(exitcode)


def kill_children(worker: Any) -> None:
    """kill -9 of the worker's encoding children and of its scheduler, as many as there are yet, or still."""
    pool = getattr(worker.pool, "_pool", None)  # Celery's is None before its pool starts and after it stopped
    processes = [*(pool._pool if pool is not None else ()), *([worker.beat] if worker.beat is not None else ())]
    living = {process.pid for process in processes if process.pid is not None}
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + REAPING
    while living and time.monotonic() < deadline:  # one that hangs in the kernel dies later, and is nobody's to wait for
        living = {pid for pid in living if not _reaped(pid)}
        time.sleep(0.01)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
