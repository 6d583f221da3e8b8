"""A running worker: its children, its warm-up, its scheduler."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Any

from celery.bootsteps import RUN
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_shutting_down
from celery.utils.log import get_multiprocessing_logger

from hybrid_search.errors import HybridSearchError
from hybrid_search.settings import Settings
from hybrid_search.telemetry.logs import configure_logging
from hybrid_search.telemetry.traces import require_tracing, stop_tracing
from workers.app import QUEUES, check_broker, create_app
from workers.metrics import metrics_served
from workers.process import warm_up
from workers.silence import watch_consumer
from workers.stopping import stop_in_time
from workers.tracing import trace_tasks

_log = logging.getLogger(__name__)


def run_worker(settings: Settings, *, beat: bool) -> None:
    """``workers.worker.start_worker``, once the environment is set."""
    configure_logging(settings)
    require_tracing(settings)
    check_broker(settings)
    if settings.log_level == "info":  # one round of the feeder per second is no news; what a round did is logged by the task
        for name in ("celery.app.trace", "celery.worker.strategy", "celery.worker.request", "celery.beat"):
            logging.getLogger(name).setLevel(logging.WARNING)

    def keep_logging(**_: object) -> None:
        """Celery leaves logging alone where somebody listens to this signal; what its pool says of dead children joins the other lines."""
        get_multiprocessing_logger().propagate = True

    def end(**_: object) -> None:
        stop_tracing()

    def begin(**_: object) -> None:
        trace_tasks(settings)
        threading.Thread(target=warm_up, args=(settings,), name="warm-up", daemon=True).start()

    interrupted = threading.Event()

    def interrupt(sig: str = "", **_: object) -> None:
        """Ctrl-C is no error, although Celery ends with 1 then."""
        if sig == "SIGINT":
            interrupted.set()

    worker_shutting_down.connect(interrupt, weak=False)
    setup_logging.connect(keep_logging, weak=False)
    worker_process_init.connect(begin, weak=False)
    worker_process_shutdown.connect(end, weak=False)
    app = create_app(settings)
    app.set_current()
    worker = app.Worker(
        pool_cls="prefork",
        concurrency=settings.worker_processes or _cores(),
        queues=QUEUES,
        beat=beat,
        loglevel=settings.log_level.upper(),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    stop_in_time(worker, settings.stop_within)
    if beat:
        threading.Thread(target=_watch_beat, args=(worker,), name="watch-beat", daemon=True).start()
    threading.Thread(target=watch_consumer, args=(app, worker), name="watch-consumer", daemon=True).start()
    try:
        with metrics_served(settings):
            worker.start()
    finally:
        worker_process_init.disconnect(begin)
        worker_process_shutdown.disconnect(end)
        setup_logging.disconnect(keep_logging)
        worker_shutting_down.disconnect(interrupt)
    if interrupted.is_set():
        return
    if beat and worker.beat.exitcode not in (0, None, -signal.SIGTERM):
        raise HybridSearchError(
            "The scheduler died, and the worker stopped with it.",
            field="beat",
            value=worker.beat.exitcode,
            remedy="Start the worker again.",
        )
    if worker.exitcode:
        raise HybridSearchError(
            f"The worker ended with code {worker.exitcode}.", field="worker", value=worker.exitcode, remedy="Its log says why."
        )


def _watch_beat(worker: Any) -> None:
    """End the worker when its scheduler dies: Celery would go on without one, and nothing would be fed any more."""
    while worker.beat is None or worker.beat.pid is None:
        time.sleep(0.05)
    _log.info("the scheduler is process %d", worker.beat.pid)
    while worker.beat.exitcode is None:
        time.sleep(1.0)
    if worker.blueprint.state == RUN:
        _log.error("the scheduler ended with code %s: the worker stops", worker.beat.exitcode)
        os.kill(os.getpid(), signal.SIGTERM)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
