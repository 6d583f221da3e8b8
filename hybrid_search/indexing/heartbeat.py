"""Saying that a running chunk is alive, from a thread of its own: a slow download or a model that loads must not look like a death.

A process that hangs for good takes no step any more. After a while it is killed from here, and then the beats stop.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import TracebackType

from hybrid_search.engines.base import Ledger
from hybrid_search.errors import EngineError

_log = logging.getLogger(__name__)


class Heartbeat:
    """Beats every ``every`` seconds between entering and leaving. ``lost`` is set once the engine has given the chunk up.

    ``stuck_after``: seconds without a ``step`` after which this process is killed; 0 is never. Nothing milder ends a loop in native code.
    """

    def __init__(self, ledger: Ledger, chunk_id: str, *, every: float, stuck_after: float = 0.0) -> None:
        self._ledger = ledger
        self._chunk_id = chunk_id
        self._every = every
        self._stuck_after = stuck_after
        self._stepped = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"beat-{chunk_id}", daemon=True)
        self.lost = False

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def step(self) -> None:
        """Say that the work goes on."""
        self._stepped = time.monotonic()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if self._stuck_after and time.monotonic() - self._stepped > self._stuck_after:
                _log.error("chunk %s: nothing moved for %g s: this process ends itself", self._chunk_id, self._stuck_after)
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                if not self._ledger.beat_chunk(self._chunk_id):
                    self.lost = True
                    return
            except EngineError as err:  # the next beat may get through; if none does, the chunk is given up, which is right
                _log.warning("chunk %s: no beat: %s", self._chunk_id, err)
