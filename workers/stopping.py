"""A worker that was told to stop has ended ``stop_within`` seconds later, whatever keeps it.

Celery waits for its children without limit, and for the results of children that are gone: a product whose tower hangs, a child killed
while it was handed a chunk. What is then given up is found by the ledger, as after any crash.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from celery.signals import worker_shutting_down

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
    kill_children(worker)
    logging.shutdown()
    os._exit(exitcode)


def kill_children(worker: Any) -> None:
    """kill -9 of the worker's encoding children and of its scheduler."""
    children = [process.pid for process in worker.pool._pool._pool]
    if worker.beat is not None:
        children.append(worker.beat.pid)
    for pid in children:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
