"""For how long a request may wait for a search server: whoever asks on its behalf, wherever, shares one allowance.

What a request computes itself, as when it loads a model, takes nothing from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

REREAD_SECONDS = 0.5
"""For how long a request waits for news of what it knows already, all of them together; the rest of its time is for its answer."""

SILENT_SECONDS = 1.0
"""After so long without an answer what was known before is called old."""


@dataclass(slots=True)
class _Allowance:
    seconds: float
    outer: _Allowance | None
    news: float = REREAD_SECONDS
    """What is left for news; that of the outermost one counts."""


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """All waiting for a search server in this block and thread takes ``seconds`` together at most; ``None`` sets no limit.

    What an outer block has left is the limit too.
    """
    if seconds is None:
        yield
        return
    token = _allowance.set(_Allowance(seconds, _allowance.get()))
    try:
        yield
    finally:
        _allowance.reset(token)


def left() -> float | None:
    """Seconds that may still be waited, not below 0; ``None`` without a limit."""
    found: float | None = None
    allowance = _allowance.get()
    while allowance is not None:
        found = allowance.seconds if found is None else min(found, allowance.seconds)
        allowance = allowance.outer
    return None if found is None else max(found, 0.0)


def waited(seconds: float) -> None:
    """Take ``seconds`` that were waited from all limits in force."""
    allowance = _allowance.get()
    while allowance is not None:
        allowance.seconds -= seconds
        allowance = allowance.outer


@contextmanager
def rereading(known: bool) -> Iterator[None]:
    """A block that reads again what is ``known``: a request does not spend its time on it, whoever follows in the background may."""
    current = request = _allowance.get()
    if not known or request is None:
        yield
        return
    while request.outer is not None:
        request = request.outer
    inner = _Allowance(request.news, current)
    token = _allowance.set(inner)
    try:
        yield
    finally:
        _allowance.reset(token)
        request.news = inner.seconds


class Reading:
    """What became of the readings of something that is read again and again, for those who are to know whether it is old."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._error: str | None = None

    @contextmanager
    def again(self, known: bool, *faults: type[Exception]) -> Iterator[None]:
        """One reading, as ``rereading``; ``faults`` are kept as the error and raised."""
        self._begun = time.monotonic()
        try:
            with rereading(known):
                yield
            self._error = None
        except faults as err:
            self._error = str(err)
            raise
        finally:
            self._begun = None

    @property
    def error(self) -> str | None:
        """Why the last reading failed, or that one gets no answer; ``None`` where what is known is new."""
        begun = self._begun
        if begun is not None and time.monotonic() - begun > SILENT_SECONDS:
            return f"No answer for {time.monotonic() - begun:.0f} s."
        return self._error


@contextmanager
def turn(lock: threading.Lock, *, wait: bool) -> Iterator[bool]:
    """Whether the lock was had for this block: at once, or, with ``wait``, within what is left, of which the wait is taken."""
    seconds, started = left(), time.monotonic()
    mine = lock.acquire(timeout=-1 if seconds is None else seconds) if wait else lock.acquire(blocking=False)
    waited(time.monotonic() - started)
    try:
        yield mine
    finally:
        if mine:
            lock.release()
