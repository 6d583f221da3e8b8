"""The feeder: one round keeps a bounded number of chunks queued from what is pending.

The engine's ledger is the truth, the broker only carries hints. A round therefore repairs whatever a crash left behind (chunks whose
worker died, chunks whose message was lost) before it opens new ones. Two rounds at once do no harm: a chunk is handed to one caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from hybrid_search.engines.base import Ledger, QueueCounts
from hybrid_search.types import Chunk, Priority


class Broker(Protocol):
    """Carries chunks to workers. Both methods raise whatever the broker's library raises when it cannot be reached."""

    def waiting(self) -> Mapping[Priority, int]:
        """Messages that no worker has taken yet, by priority."""
        ...

    def send(self, chunk: Chunk) -> None: ...

    def backfill_allowance(self, per_second: float) -> int:
        """Products of a backfill that may be fed now, so that all feeders together stay at ``per_second`` (> 0); asking uses them up."""
        ...


@dataclass(frozen=True, slots=True)
class FeedRound:
    """What one round did: chunks given up, sent again because their message was lost, and newly sent."""

    given_up: int = 0
    sent_again: int = 0
    sent: int = 0


def feed(
    ledger: Ledger,
    broker: Broker,
    queue: Callable[[], QueueCounts],
    *,
    max_open: int,
    chunk_size: int,
    chunk_silence: float,
    queue_silence: float,
    backfill_per_second: float = 0.0,
) -> FeedRound:
    """One round. ``queue`` tells the engine's counts; times in seconds (``Settings`` has the meaning of each).

    With ``backfill_per_second`` a backfill is fed no faster than that, whoever feeds; live changes are never held back.

    A send that fails half-way loses nothing: the chunks stay queued in the ledger and are sent again once they are stale.
    """
    given_up = ledger.give_up_chunks(silent_for=chunk_silence)
    sent_again = 0
    counts = queue()
    if counts.queued and counts.oldest_queued > queue_silence:
        sent_again = _send_lost(ledger, broker, queue_silence)
    allowed = broker.backfill_allowance(backfill_per_second) if backfill_per_second else None
    chunks = ledger.open_chunks(at_most=max_open, size=chunk_size, backfill=allowed)
    for chunk in chunks:
        broker.send(chunk)
    return FeedRound(given_up, sent_again, len(chunks))


def _send_lost(ledger: Ledger, broker: Broker, queue_silence: float) -> int:
    """Send again what has waited long although its queue is empty.

    A long wait behind other messages is no loss: sending again then would only fill the broker with doubles.
    """
    waiting = broker.waiting()
    if all(waiting.values()):
        return 0
    lost = [chunk for chunk in ledger.stale_chunks(queued_for=queue_silence) if not waiting[chunk.priority]]
    for chunk in lost:
        broker.send(chunk)
    return len(lost)
