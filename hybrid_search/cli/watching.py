"""Status for people: counts per state, rate and remaining time."""

from __future__ import annotations

import time
from contextlib import suppress

from hybrid_search.console import emit, progress, say
from hybrid_search.engines.base import Engine
from hybrid_search.errors import EngineUnavailable
from hybrid_search.indexing.progress import Progress
from hybrid_search.types import State

SAMPLE_SECONDS = 2.0
"""How long a single status looks at work under way to tell its rate."""


def show_status(engine: Engine, *, as_json: bool) -> None:
    """Print the counts of an engine and, while something is pending, the rate and the time left."""
    loading = engine.status().details.get("loading", False)
    if not loading:  # which a refresh would slow down
        with suppress(EngineUnavailable):  # nobody indexes now: the counts are told all the same
            engine.refresh(timeout=SAMPLE_SECONDS)
    watched = Progress()
    reading = watched.observe(engine.status())
    if reading.pending:
        time.sleep(SAMPLE_SECONDS)
        reading = watched.observe(engine.status())
    status = engine.status()
    if as_json:
        states = {key: {state.value: count for state, count in counts.items()} for key, counts in status.states.items()}
        queue = {"queued": status.queue.queued, "running": status.queue.running, "oldest_queued": status.queue.oldest_queued}
        emit(
            {
                "engine": status.name,
                "products": status.products,
                "states": states,
                "queue": queue,
                "seq": status.seq,
                "indexed_seq": status.indexed_seq,
                "rate": reading.rate,
                "eta": reading.eta,
            }
        )
        return
    say(f"[bold]{status.products}[/bold] products, change {status.seq} ({status.indexed_seq} searchable)")
    if loading:
        say("  [yellow]a first load is under way: what it writes is counted every half minute, and searchable at its end[/yellow]")
    for key, counts in status.states.items():
        say(f"  {key:<10} " + "  ".join(f"{state.value} {counts.get(state, 0)}" for state in State))
    say(f"  chunks     queued {status.queue.queued}  running {status.queue.running}")
    if reading.pending:
        left = "nothing moves: is a worker running?" if not reading.eta else f"about {reading.eta:.0f} s left"
        say(f"  rate       {reading.rate or 0:.1f} a second, {left}")


def watch_status(engine: Engine) -> None:
    """A progress bar until nothing is pending."""
    watched = Progress()
    with progress("embedding", None) as advance:
        while True:
            now = watched.observe(engine.status())
            advance(now.done, now.done + now.pending)
            if not now.pending:
                return
            time.sleep(0.5)
