"""The production server: one process with threads, for the work under a request (numpy, ONNX Runtime, SQLite) lets go of the
interpreter lock and the index is mapped once. Chosen by ``benchmarks/api_server.py``; the figures are in ``docs/api.md``.
"""

from __future__ import annotations

import logging
import multiprocessing.util
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from hybrid_search.api.app import create_app
from hybrid_search.api.auth import require_safe_bind
from hybrid_search.bootstrap import Services, build
from hybrid_search.errors import HybridSearchError, SettingsError
from hybrid_search.settings import Settings
from hybrid_search.telemetry.logs import configure_logging
from hybrid_search.telemetry.traces import require_tracing, start_tracing, stop_tracing

log = logging.getLogger(__name__)

THREADS = 8
"""Requests that are worked on at once; more wait their turn."""

BACKLOG = 512

ServicesBuilder = Callable[[Settings], Services]
"""Joins the parts, in the serving process."""


def serve(settings: Settings, *, build_services: ServicesBuilder = build) -> None:
    """Serve the API and the page until SIGTERM or Ctrl-C, then finish what is under way.

    Raises:
        SettingsError: the address cannot be bound, or it is public and there are no API keys.
    """
    require_safe_bind(settings)
    configure_logging(settings)
    require_tracing(settings)
    port = bindable_port(settings.host, settings.port)
    log.info("serving on http://%s:%d", settings.host, port)
    server = Server(
        "hybrid_search.api",
        address=settings.host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        backlog=BACKLOG,
        log_level=LogLevels.error,
        websockets=False,
    )
    server.serve(target_loader=partial(_application, settings, build_services), wrap_loader=False)


def bindable_port(host: str, port: int) -> int:
    """``port``, or a free one for 0. Raises ``SettingsError`` when it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as err:
            raise SettingsError(
                f"port = {port} on {host} cannot be served on: {err.strerror}.",
                field="port",
                value=port,
                remedy="Choose another with --port, or stop what serves there.",
            ) from err
        return int(probe.getsockname()[1])


def _application(settings: Settings, build_services: ServicesBuilder) -> Flask | Callable[..., Any]:
    """The application, made in the serving process, so that nothing heavy crosses a fork."""
    configure_logging(settings)
    try:
        start_tracing(settings, "hybrid-search-api")
        services = build_services(settings)
    except HybridSearchError as err:
        log.critical("%s", err)
        raise SystemExit(1) from err  # the server's parent process stops when this one does
    multiprocessing.util.Finalize(None, services.close, exitpriority=10)
    multiprocessing.util.Finalize(None, stop_tracing, exitpriority=5)
    return create_app(services)
