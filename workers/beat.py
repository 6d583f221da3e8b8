"""The scheduler as a process of its own: where workers come and go, it neither embeds nor ends with one of them."""

from __future__ import annotations

import logging

from celery.apps.beat import Beat
from celery.signals import setup_logging

from hybrid_search.settings import Settings
from hybrid_search.telemetry.logs import configure_logging
from workers.app import check_broker, create_app


def start_beat(settings: Settings) -> None:
    """Ask for a round of the feeder every ``feed_every`` seconds, until told to stop. Any worker may do the round.

    Raises:
        SettingsError: Redis cannot be reached at the start; once running, the scheduler waits for it to come back.
    """
    configure_logging(settings)
    check_broker(settings)
    if settings.log_level == "info":  # one message per second is no news
        logging.getLogger("celery.beat").setLevel(logging.WARNING)

    def keep_logging(**_: object) -> None:
        """Celery leaves logging alone where somebody listens to this signal."""

    setup_logging.connect(keep_logging, weak=False)
    app = create_app(settings)
    app.set_current()
    try:
        Beat(app=app, loglevel=settings.log_level.upper(), quiet=True, redirect_stdouts=False).run()
    finally:
        setup_logging.disconnect(keep_logging)
