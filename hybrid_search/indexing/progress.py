"""How far the embedding is and how fast it goes, from the engine's counts over time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from hybrid_search.engines.base import EngineStatus
from hybrid_search.types import State


@dataclass(frozen=True, slots=True)
class Reading:
    """Counts of (product, space) pairs. ``rate`` is pairs per second over the last window, ``None`` before there is one;
    ``eta`` is seconds until nothing is pending at that rate, ``None`` when nothing moves, 0 when nothing is pending."""

    ready: int
    pending: int
    failed: int
    rate: float | None
    eta: float | None

    @property
    def done(self) -> int:
        """Pairs that nothing has to be done for."""
        return self.ready + self.failed

    @property
    def total(self) -> int:
        return self.ready + self.pending + self.failed


class Progress:
    """Turns counts seen one after the other into a rate over at most ``window`` seconds, of one ``space`` (its key) or of all of them."""

    def __init__(self, *, window: float = 20.0, space: str | None = None) -> None:
        self._window = window
        self._space = space
        self._seen: deque[tuple[float, int]] = deque()

    def observe(self, status: EngineStatus, now: float | None = None) -> Reading:
        """The progress at ``now`` (seconds of any steady clock, by default this process's).

        What became pending again counts as not done, never as a negative rate.
        """
        now = time.monotonic() if now is None else now
        seen = [states for key, states in status.states.items() if self._space in (None, key)]
        counts = {state: sum(states.get(state, 0) for states in seen) for state in State}
        done = counts[State.READY] + counts[State.FAILED]
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window:
            self._seen.popleft()
        pending = counts[State.PENDING]
        rate = self._rate()
        return Reading(counts[State.READY], pending, counts[State.FAILED], rate, _eta(pending, rate))

    def _rate(self) -> float | None:
        seconds = self._seen[-1][0] - self._seen[0][0]
        if seconds <= 0:
            return None
        pairs = list(self._seen)
        gained = sum(max(0, later - earlier) for (_, earlier), (_, later) in zip(pairs, pairs[1:], strict=False))
        return gained / seconds


def _eta(pending: int, rate: float | None) -> float | None:
    if pending == 0:
        return 0.0
    return pending / rate if rate else None
