"""What everything that talks to a terminal shares: settings, progress bars, JSON output, and errors told in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from hybrid_search.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_search.settings import Settings


class Advance(Protocol):
    """Sets a progress bar to an absolute position, and its total when that became known or changed."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines instead of text for people.")]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of the index; instead of the setting `home`.", show_default="var/hybrid-search", rich_help_panel="Where"
    ),
]


def settings(**overrides: Any) -> Settings:
    """The settings, with those options that were given on the command line. Raises ``SettingsError``."""
    from hybrid_search.settings import load_settings

    return load_settings(**{key: value for key, value in overrides.items() if value is not None})


def require_redis(configured: Settings) -> str:
    """The broker's URL. Raises ``SettingsError`` when none is set."""
    if not configured.redis_url:
        raise SettingsError(
            "No broker is set: redis_url is empty.",
            field="redis_url",
            remedy="Set REDIS_URL, as in redis://127.0.0.1:6379/0; `hybrid-search demo` brings its own.",
        )
    return configured.redis_url


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """A progress bar with count, rate and remaining time on stderr; nothing at all with ``quiet`` or when stderr is no terminal and nobody looks."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed else "")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(title, total=total)

        def advance(done: int, total: int | None = None) -> None:
            bar.update(task, completed=done, **({} if total is None else {"total": total}))  # type: ignore[arg-type]

        yield advance


def emit(value: Any) -> None:
    """One JSON object on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """A line for people on stdout, with rich markup."""
    from rich.console import Console

    Console(soft_wrap=True, highlight=False).print(text)
