"""A consumer that is connected and takes nothing, although there is something and children wait: noticed, and the worker begun anew.

Seen after a broker came back, after its connections were cut half-way, after a remote ``cancel_consumer``: the process lives, its log is
quiet, and nobody else notices on a shop with one worker.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, NoReturn

from celery import Celery
from celery.bootsteps import RUN
from celery.signals import task_received
from celery.worker import state
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from workers.app import QUEUES
from workers.stopping import kill_children

_log = logging.getLogger(__name__)

SILENT_SECONDS = 8.0
"""How long messages may wait while a child is idle and none is taken."""
LOOK_SECONDS = 1.0


def watch_consumer(app: Celery, worker: Any) -> None:
    """Look every second for as long as the worker runs; a thread of its main process."""
    since = time.monotonic()

    def taken(**_: object) -> None:
        nonlocal since
        since = time.monotonic()

    task_received.connect(taken, weak=False)
    while True:
        time.sleep(LOOK_SECONDS)
        runs = (
            worker.blueprint is not None and worker.blueprint.state == RUN and state.should_stop is None and state.should_terminate is None
        )
        if not runs or len(state.reserved_requests) >= worker.concurrency or not _waiting(app):
            since = time.monotonic()
        elif time.monotonic() - since > SILENT_SECONDS:
            _log.error("messages wait, children are idle, and nothing was taken for %.0f s: the worker begins anew", SILENT_SECONDS)
            _begin_anew(worker)


def _waiting(app: Celery) -> bool:
    """Whether a queue holds a message; a broker that does not answer is another matter, and Celery's."""
    try:
        with app.connection_for_read() as connection:
            client = connection.default_channel.client
            return any(client.llen(queue) for queue in QUEUES)
    except (OperationalError, RedisError, OSError):
        return False


def _begin_anew(worker: Any) -> NoReturn:
    """The same command in the same process: a consumer that is stuck cannot be asked to stop. Work in hand is given up and done again."""
    kill_children(worker)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
