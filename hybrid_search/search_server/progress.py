"""How long steps tell what they are doing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_QUIET_SECONDS = 2.0


class Progress(Protocol):
    """Told in a few words what is going on, and which share of it (0 to 1) is done where that is known."""

    def __call__(self, what: str, share: float | None = None) -> None: ...


def silent(what: str, share: float | None = None) -> None:
    """Nobody looks."""


@contextmanager
def shown() -> Iterator[Progress]:
    """A bar for each server on a terminal's stderr, a line each five seconds elsewhere; nothing when all is done within two seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    begun = time.monotonic()
    if not sys.stderr.isatty():
        last: dict[str, float] = {}

        def line(what: str, share: float | None = None) -> None:
            now = time.monotonic()
            if now - begun > _QUIET_SECONDS and now - last.get(what, 0) > 5:
                last[what] = now
                print(f"{what}{'' if share is None else f' {share:.0%}'}", file=sys.stderr, flush=True)

        yield line
        return

    bars = Bars(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=Console(stderr=True))
    tasks = {}

    def bar(what: str, share: float | None = None) -> None:
        if time.monotonic() - begun < _QUIET_SECONDS:
            return
        bars.start()
        subject = what.partition(":")[0]
        if subject not in tasks:
            tasks[subject] = bars.add_task(what, total=None)
        bars.update(tasks[subject], description=what, total=None if share is None else 1.0, completed=share or 0.0)

    try:
        yield bar
    finally:
        bars.stop()
