"""A worker's own ``/metrics``, served by its main process: the counts of all its children, those that have died included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from hybrid_search.errors import SettingsError
from hybrid_search.settings import Settings
from hybrid_search.telemetry.metrics import Shown
from hybrid_search.telemetry.scraped import BuildInfo
from hybrid_search.telemetry.shared_files import VARIABLE


class SharedCounts(Collector):
    """What all children together have counted, from the files in ``folder``.

    A file that a child has opened this moment, or was killed while opening, is empty: it is passed over, where the library's own way
    through a folder would fail for as long as the file is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


@contextmanager
def metrics_served(settings: Settings) -> Iterator[None]:
    """Answer ``/metrics`` on ``worker_metrics_port`` during the block; nothing when it is 0. Inside ``sharing_counts``.

    Raises ``SettingsError`` when the port cannot be bound.
    """
    if not settings.worker_metrics_port:
        yield
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Shown(SharedCounts(Path(os.environ[VARIABLE])), "worker"))
    registry.register(BuildInfo(settings.engine))
    try:
        server, thread = start_http_server(settings.worker_metrics_port, settings.worker_metrics_host, registry)
    except OSError as err:
        raise SettingsError(
            f"worker_metrics_port = {settings.worker_metrics_port} on {settings.worker_metrics_host} cannot be served on: {err.strerror}.",
            field="worker_metrics_port",
            value=settings.worker_metrics_port,
            remedy="Choose another, or 0 for none: each worker of a machine needs its own.",
        ) from err
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
