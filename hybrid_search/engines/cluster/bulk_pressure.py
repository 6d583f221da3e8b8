"""How many bytes the next bulk request may have: less when the server refuses, slowly more while it answers fast."""

from __future__ import annotations

FIRST_BYTES = 5_000_000
MOST_BYTES = 20_000_000
LEAST_BYTES = 1_000_000
"""Overload never makes requests smaller: many small ones are more work for the server than a few of these."""
FAST = 1.0
"""Seconds within which a full request counts as answered fast."""
_SHRINK, _GROW = 0.5, 1.2


class Pressure:
    """The size of requests to one server, in bytes.

    Args:
        most: never more than this.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self.bytes = min(FIRST_BYTES, most)

    def too_large(self, size: int) -> None:
        """The server never takes ``size`` bytes in a request (413)."""
        self._most = max(1, min(self._most, size - 1))
        self.bytes = max(1, min(self.bytes, int(size * _SHRINK)))

    def overloaded(self) -> None:
        """The server refused for load, or tripped a circuit breaker (429)."""
        self.bytes = min(self.bytes, max(LEAST_BYTES, int(self.bytes * _SHRINK)))

    def answered(self, size: int, seconds: float) -> None:
        """A request of ``size`` bytes was taken whole in ``seconds``."""
        if seconds <= FAST and size >= self.bytes // 2:
            self.bytes = min(self._most, int(self.bytes * _GROW) + 1)
