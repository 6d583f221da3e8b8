"""The processes of one machine: started together, watched, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hybrid_search.errors import HybridSearchError

GRACE = 15.0
"""Seconds that a child has to stop before it is killed."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run: ``arguments`` of the ``hybrid-search`` command, and its own additions to the environment."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


class Supervisor:
    """Runs children, each in a process group of its own, with its output in ``<logs>/<name>.log``. A context manager: leaving it stops them all."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[tuple[Child, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Supervisor:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, child: Child) -> None:
        """Start a child; it keeps the machine's threads to itself only as far as its environment says."""
        with (self._logs / f"{child.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hybrid_search", *child.arguments],
                env={**os.environ, **child.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((child, process))

    def check(self) -> None:
        """Raises ``HybridSearchError`` with the end of its log when a child has ended by itself."""
        for child, process in self._running:
            code = process.poll()
            if code is not None:
                log = self._logs / f"{child.name}.log"
                raise HybridSearchError(
                    f"The {child.name} process ended with code {code}.\n{_tail(log)}",
                    field=child.name,
                    value=code,
                    remedy=f"The whole log is in {log}.",
                )

    def stop(self) -> None:
        """End every child, the last started first: politely, then by force."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave children behind
        try:
            self._end_all()
        finally:
            signal.signal(signal.SIGINT, before)

    def _end_all(self) -> None:
        for _, process in reversed(self._running):
            process.terminate()  # the leader alone: a worker's children finish their chunk
        deadline = time.monotonic() + GRACE
        for _, process in reversed(self._running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()
            _signal_group(process, signal.SIGKILL)  # grandchildren that outlived their parent
        self._running.clear()

    def processes(self) -> Sequence[tuple[str, int]]:
        """Name and process id of every child."""
        return [(child.name, process.pid) for child, process in self._running]


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _tail(path: Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
