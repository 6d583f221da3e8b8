"""``hybrid-search reindex``: a new products index on the search server, behind the same alias, under load."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.asking import YesOption, confirm
from hybrid_search.console import JsonOption, emit, progress, say, settings

if TYPE_CHECKING:
    from hybrid_search.engines.cluster.engine import ClusterEngine
    from hybrid_search.settings import Settings


def reindex(
    shards: Annotated[int | None, typer.Option(min=1, help="Primary shards of the new index.", show_default="server_shards")] = None,
    replicas: Annotated[int | None, typer.Option(min=0, help="Copies of each shard.", show_default="server_replicas")] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Delete the old index at once instead of keeping it as a way back.")] = False,
    back: Annotated[str | None, typer.Option(help="Point the alias back to this kept index; writes since then are not in it.")] = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Copy the products into a new index made from the mapping files, and put it in the old one's place.

    For what a live index cannot change: analyzers, field types, shards. Searches and writes go on meanwhile; writes wait for the
    last moment, usually well under a second. Change the files by a copy of yours in `server_mappings` (docs/server-engines.md).

    Examples:

        hybrid-search reindex

        hybrid-search reindex --shards 4 --replicas 1 --yes

        hybrid-search reindex --back hybrid-products-000001
    """
    from hybrid_search.engines.cluster.mappings import load_mappings
    from hybrid_search.engines.cluster.reindexing import GB, index_bytes, require_space, return_to
    from hybrid_search.engines.cluster.reindexing import reindex as run

    configured = settings()
    engine = _server_engine(configured)
    try:
        if back is not None:
            confirm(f"Answer from {back} again, without what was written since it was left?", yes=yes, json=json)
            return_to(engine.server, back)
            say(f"[bold]{engine.server.indices.products}[/bold] points to {back} again.")
            return
        files = load_mappings(engine.server.dialect.product, configured.index_prefix, configured.server_mappings)
        copies = 1 + (configured.server_replicas if replicas is None else replicas)
        needed = index_bytes(engine.server.transport, engine.server.indices.products) * copies
        require_space(engine.server.transport, needed)
        confirm(f"Copy {engine.status().products:,} products, some {needed / GB:,.2f} GB?", yes=yes, json=json)
        with progress("copying the products", None, quiet=json) as advance:
            done = run(
                engine.server,
                files,
                shards=shards or configured.server_shards,
                replicas=configured.server_replicas if replicas is None else replicas,
                progress=advance,
                keep_old=not drop_old,
            )
    finally:
        engine.close()
    if json:
        emit(asdict(done))
        return
    say(f"{done.products:,} products are in [bold]{done.new}[/bold]; writes waited {done.blocked_seconds:.2f} s.")
    if not drop_old:
        say(f"{done.old} is kept: go back with `hybrid-search reindex --back {done.old}`, or delete it when nobody misses it.")


def _server_engine(configured: Settings) -> ClusterEngine:
    from hybrid_search.bootstrap import open_engine
    from hybrid_search.engines.cluster.engine import ClusterEngine
    from hybrid_search.errors import SettingsError

    if configured.attach is not None:
        raise SettingsError(
            "The index is the shop's own (attach is set): its mapping is not ours to build anew.",
            field="attach",
            value=str(configured.attach),
            remedy=f"To copy it into one that can hold vectors: hybrid-search attach reindex --config {configured.attach}.",
        )
    if configured.engine == "embedded":
        raise SettingsError(
            "The embedded engine has no index to copy: it derives its search structures from its store.",
            field="engine",
            value="embedded",
            remedy="Delete the folder `derived` in home to have them built anew, even while it runs.",
        )
    engine = open_engine(configured)
    assert isinstance(engine, ClusterEngine)
    return engine
