"""The tasks: thin ways into ``hybrid_search.indexing``. Ids travel, nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celery import Celery, Task, shared_task
from kombu.exceptions import OperationalError

from hybrid_search.errors import HybridSearchError
from hybrid_search.indexing.align import alignment_due, fit_first_alignment
from hybrid_search.indexing.embed import embed_chunk as do_chunk
from hybrid_search.indexing.feeder import feed as feed_once
from hybrid_search.telemetry.logs import noting
from hybrid_search.telemetry.metrics import CHUNK_SECONDS, CHUNKS_DONE, FEED_CHUNKS
from hybrid_search.telemetry.traces import span
from workers.app import FEED_QUEUE, FIT_SECONDS, CeleryBroker
from workers.process import WorkerParts, parts_of_process

_log = logging.getLogger(__name__)


@shared_task(name="feed", bind=True)  # type: ignore[untyped-decorator]
def feed(self: Task) -> None:
    """One round of the feeder; when a first load has drained, the picture map is asked for."""
    broker = CeleryBroker(self.app)
    with _told("feed"):
        parts = parts_of_process(self.app.conf.hybrid_search)
        with broker.turn() as mine:
            if mine:
                _feed(self.app, parts, broker)


def _feed(app: Celery, parts: WorkerParts, broker: CeleryBroker) -> None:
    engine, settings = parts.services.engine, parts.settings
    done = feed_once(
        engine,
        broker,
        lambda: engine.status().queue,
        max_open=settings.max_open_chunks,
        chunk_size=settings.chunk_size,
        chunk_silence=settings.chunk_silence,
        queue_silence=settings.queue_silence,
        backfill_per_second=parts.services.search_parts.control.current()[1].backfill_per_second,
    )
    for action, chunks in (("sent", done.sent), ("sent_again", done.sent_again), ("given_up", done.given_up)):
        FEED_CHUNKS.labels(action).inc(chunks)
    if any((done.given_up, done.sent_again, done.sent)):
        _log.info("fed %d chunks, %d sent again, %d given up", done.sent, done.sent_again, done.given_up)
    elif _map_due(parts):
        app.send_task("fit_alignment", queue=FEED_QUEUE, expires=10.0)


@shared_task(name="embed_chunk", bind=True)  # type: ignore[untyped-decorator]
def embed_chunk(self: Task, chunk_id: str, product_ids: Sequence[str]) -> None:
    """Embed a chunk. The ledger knows its products; ``product_ids`` are in the message for whoever reads the queue."""
    started = time.monotonic()
    outcome = "error"
    with noting(chunk=chunk_id, products=len(product_ids)), _told(f"chunk {chunk_id} of {len(product_ids)} products"):
        parts = parts_of_process(self.app.conf.hybrid_search)
        with span("embed", chunk=chunk_id, products=len(product_ids)):
            report = do_chunk(chunk_id, parts.services.engine, parts.producers, parts.services.intake, parts.limits)
        outcome = "dropped" if report.dropped else "lost" if report.lost else "done"
        seconds = round(time.monotonic() - started, 3)
        said = {"seconds": seconds, "written": report.written, "failed": report.failed, "outcome": outcome}
        _log.info("chunk %s: %d products in %.3f s, %s", chunk_id, len(product_ids), seconds, outcome, extra=said)
        if report.failed:
            _log.warning("chunk %s: %d vectors written, %d failed; see `hybrid-search failures`", chunk_id, report.written, report.failed)
        if report.lost:
            _log.warning("chunk %s was given up on while it was worked on: no beat came through for too long", chunk_id)
    CHUNKS_DONE.labels(outcome).inc()
    CHUNK_SECONDS.observe(time.monotonic() - started)


@shared_task(name="fit_alignment", bind=True, time_limit=FIT_SECONDS)  # type: ignore[untyped-decorator]
def fit_alignment(self: Task) -> None:
    """Fit the first picture map, if it is still due and no other process is at it."""
    with _told("the picture map"):
        parts = parts_of_process(self.app.conf.hybrid_search)
        space = fit_first_alignment(parts.services.engine, parts.text, parts.image, parts.producers.maps, pairs=parts.settings.align_pairs)
        if space is not None:
            _log.info("fitted the picture map %s", space.model)


def _map_due(parts: WorkerParts) -> bool:
    engine = parts.services.engine
    return alignment_due(engine.status(), engine.spaces(), parts.text, parts.image, parts.producers.maps, parts.settings.align_pairs)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What an operator can mend is told in one line. Nothing is lost: the ledger has the work tried again."""
    try:
        yield
    except (HybridSearchError, OperationalError) as err:
        _log.error("%s: %s", what, err)
