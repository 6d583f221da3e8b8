"""Prometheus' multiprocess mode for a worker's children: each counts in files of its own, the parent adds them up when it is asked.

The folder is ``<home>/metrics/<host>-<pid>``. A worker holds a lock beside its folder; folders whose lock is free belong to workers
that are gone and are removed by the next one that starts.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hybrid_search.errors import SettingsError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def sharing_counts(home: Path, *, wanted: bool = True) -> Iterator[None]:
    """Let this process and its children of the block count in files. Before ``prometheus_client`` is imported, which reads the variable then.

    Raises:
        SettingsError: the folder cannot be written, or ``prometheus_client`` is there already.
    """
    if not wanted:
        yield
        return
    if "prometheus_client" in sys.modules and VARIABLE not in os.environ:
        raise SettingsError(
            "worker_metrics_port is set, but prometheus_client was imported before the worker's start.",
            field="worker_metrics_port",
            remedy="Start the worker with `hybrid-search worker`.",
        )
    parent = home / "metrics"
    own = parent / f"{socket.gethostname()}-{os.getpid()}"
    lock = FileLock(f"{own}.lock")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(parent)
        lock.acquire(timeout=0)
        own.mkdir()
    except OSError as err:
        raise SettingsError(
            f"The folder {own} cannot be made: {err.strerror or err}.",
            field="home",
            value=str(home),
            remedy="Set home to a folder that can be written, or worker_metrics_port to 0.",
        ) from err
    os.environ[VARIABLE] = str(own)
    try:
        yield
    finally:
        shutil.rmtree(own, ignore_errors=True)
        lock.release()


def _remove_left_over(parent: Path) -> None:
    for path in parent.glob("*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a worker that lives
            continue
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        path.unlink(missing_ok=True)
        lock.release()
