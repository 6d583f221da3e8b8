"""The Celery app: queues, delivery and schedule, all from ``Settings``. Models and the engine are opened in the children, never here.

The broker only carries hints (``hybrid_search.indexing.feeder``): whatever is lost, doubled or late is put right by the ledger.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.exceptions import OperationalError

from hybrid_search.errors import SettingsError
from hybrid_search.settings import Settings, load_settings
from hybrid_search.telemetry.traces import carried_context, span
from hybrid_search.types import Chunk, Priority

_log = logging.getLogger(__name__)

FEED_QUEUE = "feed"
QUEUES = (FEED_QUEUE, Priority.LIVE.value, Priority.BACKFILL.value)
"""In the order in which workers empty them."""

TASK_SECONDS = 300
"""A task that takes longer is killed with its process; a chunk stops by itself after ``EmbedLimits.seconds``."""

FIT_SECONDS = 3_600
"""The same for the fit of the picture map, whose words a slow text tower may take long to encode; what it has encoded is kept."""

VISIBILITY_SECONDS = 4 * TASK_SECONDS
"""After this long Redis hands an unacknowledged message out again; more than three times the longest chunk. A doubled fit finds its lock held."""

SCHEMES = ("redis://", "rediss://", "redis+socket://", "sentinel://")

RECONNECT_SECONDS = 2.0
"""Longest pause between two tries to reach the broker again."""

ASK_AGAIN_SECONDS = 5.0
"""After a failed ``request_feed`` writes do not wait for the broker for this long; the schedule finds their products anyway."""


class _SteadyConnection(AMQP.Connection):  # type: ignore[misc]
    """Reconnects at a steady pace: Celery's own pauses grow to 30 s, so that a worker would sleep on after Redis is back."""

    def ensure_connection(
        self, errback: Callable[..., Any] | None = None, max_retries: int | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        pace = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": RECONNECT_SECONDS}
        return super().ensure_connection(errback, max_retries, *args, **(kwargs if args else pace | kwargs))


class _SteadyAMQP(AMQP):  # type: ignore[misc]
    Connection = _SteadyConnection


def create_app(settings: Settings) -> Celery:
    """The app for these settings; ``app.conf.hybrid_search`` holds them for the tasks. Connects to nothing.

    Raises:
        SettingsError: ``redis_url`` is empty or of an unknown scheme.
    """
    if not settings.redis_url:
        raise SettingsError(
            "redis_url is empty, but workers need a broker.",
            field="redis_url",
            value="",
            remedy="Set REDIS_URL, as in redis://127.0.0.1:6379/0, or use `hybrid-search demo`, which starts a server of its own.",
        )
    if not settings.redis_url.startswith(SCHEMES):
        raise SettingsError(
            f"redis_url begins with {settings.redis_url.partition('://')[0][:20]!r}, which is no Redis scheme.",
            field="redis_url",
            value=settings.redis_url.partition("://")[0][:20],
            remedy=f"Use one of {', '.join(SCHEMES)} as in redis://127.0.0.1:6379/0.",
        )
    app = Celery("hybrid_search", broker=settings.redis_url, amqp=_SteadyAMQP, include=["workers.tasks"], set_as_current=False)
    app.conf.update(
        hybrid_search=settings,
        # what is sent
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_queues={name: {"exchange": name, "routing_key": name} for name in QUEUES},
        task_default_queue=FEED_QUEUE,
        task_default_exchange=FEED_QUEUE,
        task_default_routing_key=FEED_QUEUE,
        # how it is delivered
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=TASK_SECONDS,
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=60.0,  # a child that loads models on a busy machine is slow to report
        worker_enable_remote_control=True,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the ledger drops the doubles, the work goes on
        broker_transport_options={
            "queue_order_strategy": "priority",
            "visibility_timeout": VISIBILITY_SECONDS,
            "unacked_restore_interval": 1,  # otherwise Redis is swept for lost messages every 100 s only
            "unacked_restore_throttle": 1,
            "socket_timeout": 5.0,
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        broker_channel_error_retry=True,  # out of memory, read-only: Redis refuses, and will take it again one day
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # when
        beat_scheduler="celery.beat:Scheduler",  # one entry with a period: nothing worth a file
        beat_max_loop_interval=max(settings.feed_every, 0.5),
        beat_schedule={
            "feed": {
                "task": "feed",
                "schedule": settings.feed_every,
                # A busy worker finds one fresh message instead of a heap of old ones.
                "options": {"queue": FEED_QUEUE, "expires": 2 * settings.feed_every + 1},
            }
        },
        worker_redirect_stdouts=False,
    )
    return app


ALLOWANCE_KEY = "hybrid-search:backfill"
BURST_SECONDS = 2.0
"""A throttled backfill that nobody fed for a while makes up for this many seconds at most."""

_ALLOWANCE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local rate = tonumber(ARGV[1])
local first = now - math.max(tonumber(ARGV[2]), 1 / rate)
local last = tonumber(redis.call('GET', KEYS[1]) or first)
if last < first or last > now then last = first end
local products = math.floor((now - last) * rate + 1e-6)
redis.call('SET', KEYS[1], string.format('%.6f', last + products / rate), 'EX', 3600)
return products
"""
"""A bucket that all feeders share: the key holds up to when products were allowed. An emptied Redis allows one burst, nothing worse."""


FEEDING_KEY = "hybrid-search:feeding"
FEEDING_SECONDS = 5.0
"""A feeder that dies holds the others up for this long at most; two rounds at once do no harm."""
FEEDING_PAUSE = 2.0
"""Rounds of all feeders together take a third of one child's time at most: what they feed must be embedded too, however slow the engine."""


class CeleryBroker:
    """``hybrid_search.indexing.feeder.Broker`` on a Celery app. Raises ``OperationalError`` when Redis cannot be reached."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def waiting(self) -> Mapping[Priority, int]:
        with self._app.pool.acquire(block=True) as connection:
            client = connection.default_channel.client
            return {priority: int(client.llen(priority.value)) for priority in Priority}

    def backfill_allowance(self, per_second: float) -> int:
        with self._app.pool.acquire(block=True) as connection:
            client = connection.default_channel.client
            return int(client.eval(_ALLOWANCE, 1, ALLOWANCE_KEY, per_second, BURST_SECONDS))

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether this process may do a round of the feeder now: one at a time, then none for ``FEEDING_PAUSE`` times as long as it took."""
        mine = self._hold(FEEDING_SECONDS, only_free=True)
        started = time.monotonic()
        yield mine
        if mine:
            self._hold(min(FEEDING_PAUSE * (time.monotonic() - started), FEEDING_SECONDS))

    def _hold(self, seconds: float, *, only_free: bool = False) -> bool:
        with self._app.pool.acquire(block=True) as connection:
            client = connection.default_channel.client
            return bool(client.set(FEEDING_KEY, 1, px=max(int(1_000 * seconds), 1), nx=only_free))

    def send(self, chunk: Chunk) -> None:
        self._app.send_task("embed_chunk", (chunk.id, list(chunk.product_ids)), queue=chunk.priority.value)


def feed_requester(settings: Settings) -> Callable[[], bool]:
    """A function that asks the workers to look for pending products now. It never fails: False when there is no broker or it does not answer."""
    if not settings.redis_url:
        return lambda: False
    app = create_app(settings)
    # A write waits for this: kombu by itself would try for 8 s.
    app.conf.broker_transport_options |= {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    quiet_until = 0.0

    def request_feed() -> bool:
        nonlocal quiet_until
        if time.monotonic() < quiet_until:
            return False
        try:
            with span("send feed"):
                app.send_task("feed", queue=FEED_QUEUE, expires=10.0, retry=False, headers=carried_context())
        except (OperationalError, OSError) as err:
            quiet_until = time.monotonic() + ASK_AGAIN_SECONDS
            _log.warning("the workers could not be asked to begin at once: %s", err)
            return False
        return True

    return request_feed


def check_broker(settings: Settings) -> None:
    """Raises ``SettingsError`` that names the URL (its password hidden) when the broker cannot be reached within a few seconds."""
    app = create_app(settings)
    with app.connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=2)
            connection.default_channel.client.ping()
        except (OperationalError, OSError, ValueError) as err:
            raise SettingsError(
                f"Redis cannot be reached at {connection.as_uri()}: {err}.",
                field="redis_url",
                value=connection.as_uri(),
                remedy="Start the server, or set REDIS_URL to one that is running.",
            ) from err


def __getattr__(name: str) -> Any:
    """``celery -A workers.app …`` finds the app of the settings at hand."""
    if name in ("app", "celery"):
        return create_app(load_settings())
    raise AttributeError(name)
