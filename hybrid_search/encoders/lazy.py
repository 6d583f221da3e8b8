"""Things that load once per process, at first use, by whichever thread comes first, and again in a forked child."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_ALL: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


class PerProcess(Generic[T]):
    """A value that ``load`` makes at the first ``get`` of each process.

    A model inherited through a fork must not be used: its thread pool did not survive the fork and the first call would wait for it for ever.
    The child therefore loads its own; the parent's copy is kept but never touched, because freeing it would wait for the same threads.
    """

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._values: list[T] = []
        self._abandoned: list[T] = []
        _ALL.add(self)

    def get(self) -> T:
        """The process's own value. Raises whatever ``load`` raises; the next call tries again."""
        if not self._values:
            with self._lock:
                if not self._values:
                    self._values = [self._load()]
        return self._values[0]

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._abandoned += self._values
        self._values = []


def _after_fork_in_child() -> None:
    for lazy in list(_ALL):
        lazy._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)


def threads() -> int:
    """Threads that one encoding may use: ``OMP_NUM_THREADS``, or 1, because workers already run one process per core."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else 1
