"""What the commands on spaces share: which version answers, asking before something grave, waking the workers, plain text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_search.bootstrap import Services
    from hybrid_search.settings import Settings

KeyArgument = Annotated[str, typer.Argument(help="Key of the space, as `spaces list` shows it.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def active_keys(services: Services) -> dict[str, str]:
    """The key in use by name, as processes with these settings choose it."""
    parts = services.search_parts
    return {name: space.key for name, space in parts.spaces.active(parts.control.current()[1].active_spaces).items()}


def confirm(question: str, *, yes: bool, json: bool) -> None:
    """Go on only with a yes. Raises ``SettingsError`` where nobody can be asked."""
    if yes:
        return
    if json or not sys.stdin.isatty():
        raise SettingsError(f"{question} Nobody is there to answer.", field="yes", remedy="Say --yes.")
    if not typer.confirm(question):
        raise typer.Exit(1)


def request_feed(configured: Settings) -> None:
    """Have the workers look at once, where there is a broker."""
    from workers.app import feed_requester

    feed_requester(configured)()


def plain(text: str) -> str:
    """Text that is no markup."""
    from rich.markup import escape

    return escape(text)
