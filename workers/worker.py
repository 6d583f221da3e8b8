"""The worker's start, as ``hybrid-search worker`` does it."""

from __future__ import annotations

import os

from hybrid_search.settings import Settings
from hybrid_search.telemetry.shared_files import sharing_counts

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Two threads per child are slower than one: there is a child per core."""


def start_worker(settings: Settings, *, beat: bool) -> None:
    """Run a worker in this process until it is told to stop (TERM: finish the running chunks; QUIT: at once).

    One child per core by default, each with one thread. ``beat`` also runs the scheduler, in a child of its own.

    Raises:
        SettingsError: ``worker_metrics_port`` cannot be served on; Redis cannot be reached at the start; once running, the worker waits for it to come back.
        HybridSearchError: the worker ended with an error, or its scheduler did.
    """
    for variable in ONE_THREAD:
        os.environ.setdefault(variable, "1")
    with sharing_counts(settings.home, wanted=settings.worker_metrics_port > 0):
        from workers.running import run_worker  # late: numpy and prometheus_client read the environment when they load

        run_worker(settings, beat=beat)
