"""When a failed try comes again, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAUSE = 3_600.0
"""Seconds; no pause before another try grows beyond this."""

WORKER_DIED = "worker_died: The worker died while this product was the only one it worked on."


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``max_attempts`` tries, with ``pause`` seconds after the first that doubles with each."""

    max_attempts: int
    pause: float

    def wait(self, attempts: int) -> float:
        """Seconds to wait after the ``attempts``-th failed try."""
        return min(self.pause * 2.0 ** (attempts - 1), LONGEST_PAUSE)
