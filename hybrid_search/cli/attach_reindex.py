"""``hybrid-search attach reindex``: a shop's OpenSearch index copied into one that can hold vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.asking import YesOption, confirm, plain
from hybrid_search.cli.attach_options import ConfigOption
from hybrid_search.console import JsonOption, emit, progress, say, settings

if TYPE_CHECKING:
    from hybrid_search.attach.reindex_plan import ReindexPlan
    from hybrid_search.engines.cluster.transport import Transport


def attach_reindex(
    config: ConfigOption = Path("attach.toml"),
    name: Annotated[str, typer.Option("--name", help="Name of the new index.", show_default="<old>-knn")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Where the file names an index, no alias: delete it, and make its name an alias of the copy.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Remove the unfinished copy that a killed run left, and begin anew.")] = False,
    back: Annotated[
        str, typer.Option("--back", help="Let the alias stand for this kept index again; writes since then are not in it.")
    ] = "",
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Copy the shop's index into one that can hold vectors, and move its aliases there: for OpenSearch where index.knn is not true.

    Settings and mapping are theirs. Their searches and writes go on during the copy; at its end the old index refuses writes for a
    moment, and so it stays, kept as a way back. When the copy fails or is interrupted, nothing is left of it.

    Examples:

        hybrid-search attach reindex --config attach.toml

        hybrid-search attach reindex --config attach.toml --back catalog-2026-03
    """
    from dataclasses import asdict

    from hybrid_search.attach.config import load_config
    from hybrid_search.attach.connect import open_source
    from hybrid_search.attach.guided_reindex import discard_unfinished, go_back, run_reindex
    from hybrid_search.attach.reindex_plan import plan_reindex

    attached = load_config(config)
    asked = attached.source.index
    transport = open_source(settings(), attached.source)
    try:
        if back:
            confirm(f"Let {asked} stand for {back} again, without what was written since?", yes=yes, json=json)
            go_back(transport, asked, back)
            say(f"{plain(asked)} stands for [bold]{plain(back)}[/bold] again.")
            return
        if restart:
            confirm(f"Remove the unfinished copy of {asked}? No other attach reindex of it may be running.", yes=yes, json=json)
            discard_unfinished(transport, asked, name)
        plan = plan_reindex(transport, asked, name=name, replace=replace)
        confirm(_question(plan), yes=yes, json=json)
        with progress(f"copying {plan.old.name}", plan.old.documents, quiet=json) as advance:
            try:
                done = run_reindex(transport, plan, advance)
            except KeyboardInterrupt:
                typer.echo(f"stopped: {_state_after(transport, plan)}", err=True)
                raise
    finally:
        transport.close()
    if json:
        emit(asdict(done))
        return
    say(f"{done.documents:,} documents are in [bold]{plain(done.new)}[/bold], {done.compared:,} compared word by word.")
    if not done.moved:
        say(f"{plain(asked)} is an index, no alias: have the shop use {plain(done.new)}, and set source.index to it. What it writes to")
        say(f"{plain(asked)} from now on is not in the copy. Or delete the copy and run this again with --replace.")
        return
    say(f"{plain(', '.join(done.moved))} stands for it; writes were refused for {done.blocked_seconds:.2f} s.")
    if not plan.replace:
        say(f"{plain(done.old)} is kept, closed to writes. To go back:")
        say(f"  hybrid-search attach reindex --config {plain(str(config))} --back {plain(done.old)}")


def _state_after(transport: Transport, plan: ReindexPlan) -> str:
    """What an interrupted reindex left."""
    from hybrid_search.attach.source import index_path

    old, new = plan.old.name, plan.new
    if transport.request("HEAD", index_path(new), ignore=(404,)).ok:
        return f"the copy {new} is there, and what was to move had moved already."
    return f"the copy {new} was removed again, {old} takes writes as before, and no alias was moved."


def _question(plan: ReindexPlan) -> str:
    old, copied = (
        plan.old.name,
        f"Copy {plan.old.documents:,} documents of {plan.old.name} into {plan.new}, some {plan.bytes / 1e9:,.2f} GB",
    )
    if plan.replace:
        return (
            f"{copied}, then DELETE {old} and make {old} an alias of the copy? There is no way back. Its writes are refused for a moment."
        )
    if plan.old.asked == old:
        return f"{copied}? {old} is no alias and stays in use; stop its writers first, what they write later is not in the copy."
    return f"{copied}, then move {', '.join(sorted(plan.aliases))}? Writes are refused for a moment at the end."
