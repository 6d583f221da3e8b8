"""``hybrid-search doctor``: what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.console import HomeOption, JsonOption, emit, say, settings

if TYPE_CHECKING:
    from hybrid_search.doctor.finding import Finding
    from hybrid_search.engines.base import Engine
    from hybrid_search.engines.cluster.transport import Transport
    from hybrid_search.settings import Settings


def doctor(
    attach: Annotated[Path | None, typer.Option("--attach", help="Also check this attach file against its index.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as failures.")] = False,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="A group to leave out, as in --skip models. May be repeated.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check the installation: server, indices, Redis, disks, clocks, models, keys, queue. Nothing is made or changed.

    Exit code 1 when a check fails; warnings fail with --strict only.

    Examples:

        hybrid-search doctor

        hybrid-search doctor --json --skip models

        hybrid-search doctor --attach attach.toml
    """
    from hybrid_search.doctor.examine import GROUPS, examine
    from hybrid_search.errors import SettingsError

    configured = settings(home=home)
    for group in skip or ():
        if group not in GROUPS:
            raise SettingsError(f"--skip {group} is no group of checks.", field="--skip", value=group, remedy=f"Use: {', '.join(GROUPS)}.")
    findings: list[Finding] = []
    for finding in examine(
        configured,
        open_transport=lambda: _transport(configured),
        open_engine=lambda: _engine(configured),
        attach=attach,
        skip=skip or (),
    ):
        findings.append(finding)
        if not json:
            _tell(finding)
    failed = [finding for finding in findings if finding.level == "fail" or (strict and finding.level == "warn")]
    warned = sum(finding.level == "warn" for finding in findings)
    if json:
        emit({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        say(f"[bold]{len(findings)} checks, {sum(f.level == 'fail' for f in findings)} failed, {warned} warnings[/bold]")
    raise typer.Exit(1 if failed else 0)


_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def _tell(finding: Finding) -> None:
    from rich.markup import escape

    say(f"[{_COLOURS[finding.level]}]{finding.level:<4}[/]  {finding.check:<18} {escape(finding.found)}")
    if finding.remedy:
        say(f"      [dim]{escape(finding.remedy)}[/dim]")


def _transport(configured: Settings) -> Transport:
    from hybrid_search.attach.config import load_config
    from hybrid_search.attach.connect import open_own, open_source

    return open_own(configured) if configured.attach is None else open_source(configured, load_config(configured.attach).source)


def _engine(configured: Settings) -> Engine | None:
    """The engine as it is: nothing is made by opening it."""
    if configured.attach is not None:
        from hybrid_search.attach.config import load_config
        from hybrid_search.attach.in_place import look_in_place
        from hybrid_search.bootstrap import open_intake

        return look_in_place(configured, load_config(configured.attach), open_intake(configured))
    if configured.engine == "embedded":
        from hybrid_search.engines.embedded import EmbeddedEngine

        return EmbeddedEngine(configured.home, index=False) if (configured.home / "store.sqlite").is_file() else None
    from hybrid_search.engines.cluster.engine import ClusterEngine
    from hybrid_search.engines.cluster.indices import behind_aliases, greet
    from hybrid_search.engines.cluster.layout import Indices
    from hybrid_search.engines.cluster.server import Server

    transport = _transport(configured)
    indices = Indices(configured.index_prefix)
    if len(behind_aliases(transport, indices)) < len(indices.aliases):
        transport.close()
        return None
    return ClusterEngine(Server(transport, greet(transport, configured.engine), indices))
