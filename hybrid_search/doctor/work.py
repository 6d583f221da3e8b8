"""Checks of the embedding work, on any engine: what waits, what failed, spaces that nobody serves."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hybrid_search.doctor.finding import Finding
from hybrid_search.engines.base import Engine
from hybrid_search.indexing.lifecycle import unserved
from hybrid_search.settings import Settings
from hybrid_search.types import State


def check_queue(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """Whether the work moves: chunks that wait too long, workers that fell silent, products that failed."""
    status = engine.status()
    pending = sum(states.get(State.PENDING, 0) for states in status.states.values())
    failed = sum(states.get(State.FAILED, 0) for states in status.states.values())
    queue = status.queue
    yield Finding(
        "queue", "ok", f"{status.products} products, {pending} embeddings pending, {queue.queued} chunks queued, {queue.running} running."
    )
    if queue.stalest_running > 2 * settings.chunk_silence:
        yield Finding(
            "queue.silent",
            "warn",
            f"A running chunk has been silent for {queue.stalest_running:.0f} s.",
            "Look whether the worker with --beat runs: it gives such chunks to others.",
        )
    if queue.oldest_queued > 2 * settings.queue_silence:
        yield Finding(
            "queue.waiting",
            "warn",
            f"A chunk has been waiting for {queue.oldest_queued:.0f} s.",
            "Start workers (hybrid-search worker), or more of them.",
        )
    if pending and not queue.queued and not queue.running:
        yield Finding(
            "queue.idle",
            "warn",
            f"{pending} embeddings are pending, and none is under way.",
            "Start a worker with --beat: it is what queues them.",
        )
    if failed:
        yield Finding(
            "queue.failures",
            "warn",
            f"{failed} embeddings failed.",
            "See why: hybrid-search failures; try again: hybrid-search failures --retry.",
        )


def check_spaces(engine: Engine, models: Collection[str]) -> Iterator[Finding]:
    """Whether each space is asked with ``models``, those of this process or such as it can make, and whether a worker fills it."""
    spaces = engine.spaces()
    if not spaces:
        yield Finding(
            "spaces", "warn", "There are no embedding spaces yet.", "They are made when the API, a worker or ingest first starts."
        )
    nobody = unserved(engine)
    for space in spaces:
        asking = set(space.query_models.values())
        if not asking & set(models):
            yield Finding(
                "spaces",
                "warn",
                f"{space.key} is asked with {', '.join(sorted(asking)) or 'no model'}, which these settings do not load.",
                "Nothing where processes load it for a cut-over (docs/spaces.md); otherwise set text_encoder and image_encoder to its models.",
            )
        elif space.key in nobody:
            yield Finding("spaces", "warn", f"{space.key}: {nobody[space.key]}.", "Start a worker that has this model (docs/spaces.md).")
        else:
            yield Finding("spaces", "ok", f"{space.key} is asked with {', '.join(sorted(asking & set(models)))}.")
